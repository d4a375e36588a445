"""Generated from lease.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from . import rpc_pb2  # noqa: F401
from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\x0blease.proto\x12\x07leasepb\x1a\trpc.proto"M\n\x05Lease\x12\x0e\n\x02ID\x18\x01 \x01(\x03R\x02ID\x12\x10\n\x03TTL\x18\x02 \x01(\x03R'
    b'\x03TTL\x12"\n\x0cRemainingTTL\x18\x03 \x01(\x03R\x0cRemainingTTL"t\n\x14LeaseInternalRequest\x12\\\n\x16Leas'
    b'eTimeToLiveRequest\x18\x01 \x01(\x0b2$.etcdserverpb.LeaseTimeToLiveRequestR\x16LeaseTim'
    b'eToLiveRequest"x\n\x15LeaseInternalResponse\x12_\n\x17LeaseTimeToLiveResponse\x18\x01 \x01(\x0b'
    b'2%.etcdserverpb.LeaseTimeToLiveResponseR\x17LeaseTimeToLiveResponseb\x06proto3'
)
