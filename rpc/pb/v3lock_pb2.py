"""Generated from v3lock.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from . import rpc_pb2  # noqa: F401
from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\x0cv3lock.proto\x12\x08v3lockpb\x1a\trpc.proto"7\n\x0bLockRequest\x12\x12\n\x04name\x18\x01 \x01(\x0cR\x04name\x12\x14'
    b'\n\x05lease\x18\x02 \x01(\x03R\x05lease"V\n\x0cLockResponse\x124\n\x06header\x18\x01 \x01(\x0b2\x1c.etcdserverpb.Resp'
    b'onseHeaderR\x06header\x12\x10\n\x03key\x18\x02 \x01(\x0cR\x03key"!\n\rUnlockRequest\x12\x10\n\x03key\x18\x01 \x01(\x0cR\x03key"'
    b'F\n\x0eUnlockResponse\x124\n\x06header\x18\x01 \x01(\x0b2\x1c.etcdserverpb.ResponseHeaderR\x06header2'
    b'z\n\x04Lock\x125\n\x04Lock\x12\x15.v3lockpb.LockRequest\x1a\x16.v3lockpb.LockResponse\x12;\n\x06Unlock'
    b'\x12\x17.v3lockpb.UnlockRequest\x1a\x18.v3lockpb.UnlockResponseb\x06proto3'
)
