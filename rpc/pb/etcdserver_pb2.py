"""Generated from etcdserver.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\x10etcdserver.proto\x12\x0cetcdserverpb"@\n\x08Metadata\x12\x16\n\x06NodeID\x18\x01 \x01(\x04R\x06NodeID\x12\x1c\n\t'
    b'ClusterID\x18\x02 \x01(\x04R\tClusterID'
)
