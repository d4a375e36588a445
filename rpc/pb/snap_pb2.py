"""Generated from snap.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\nsnap.proto\x12\x06snappb"0\n\x08snapshot\x12\x10\n\x03crc\x18\x01 \x01(\rR\x03crc\x12\x12\n\x04data\x18\x02 \x01(\x0cR\x04data'
)
