"""Generated from wal.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from . import raft_pb2  # noqa: F401
from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\twal.proto\x12\x05walpb\x1a\nraft.proto"B\n\x06Record\x12\x12\n\x04type\x18\x01 \x01(\x03R\x04type\x12\x10\n\x03crc\x18\x02 \x01('
    b'\rR\x03crc\x12\x12\n\x04data\x18\x03 \x01(\x0cR\x04data"f\n\x08Snapshot\x12\x14\n\x05index\x18\x01 \x01(\x04R\x05index\x12\x12\n\x04term\x18\x02 \x01'
    b'(\x04R\x04term\x120\n\nconf_state\x18\x03 \x01(\x0b2\x11.raftpb.ConfStateR\tconfState'
)
