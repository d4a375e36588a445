"""Frames of RFC 9113 sections 4 and 6: numbers, and builders for those that we send."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from .errors import ErrorCode

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "DEFAULT_FRAME_BYTES_MAX",
    "DEFAULT_WINDOW_BYTES",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_HEADER_BYTES",
    "GOAWAY",
    "HEADERS",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITY",
    "PRIORITY_FLAG",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "SETTINGS_ACK",
    "STREAM_ID_MASK",
    "WINDOW_BYTES_MAX",
    "WINDOW_UPDATE",
    "frame_head",
    "goaway",
    "headers",
    "looks_like_http2",
    "pack_head",
    "ping",
    "rst_stream",
    "settings",
    "window_update",
]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0x0, 0x1, 0x2, 0x3, 0x4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0x5, 0x6, 0x7, 0x8, 0x9

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""
FRAME_HEADER_BYTES = 9
DEFAULT_FRAME_BYTES_MAX = 16384
DEFAULT_WINDOW_BYTES = 65535
WINDOW_BYTES_MAX = 2**31 - 1
STREAM_ID_MASK = 2**31 - 1

_HEAD = struct.Struct(">IBI")
_SETTING = struct.Struct(">HI")
frame_head = _HEAD.unpack_from
"""(data, at) -> (length << 8 | type, flags, stream id with the reserved bit)."""
pack_head = _HEAD.pack


def looks_like_http2(first_bytes: bytes) -> bool | None:
    """Tell whether a connection opens with the HTTP/2 preface; None: too few bytes to know."""
    if len(first_bytes) >= len(PREFACE):
        return first_bytes.startswith(PREFACE)
    return None if PREFACE.startswith(first_bytes) else False


def settings(values: Mapping[int, int]) -> bytes:
    payload = b"".join(_SETTING.pack(key, value) for key, value in values.items())
    return pack_head(len(payload) << 8 | SETTINGS, 0, 0) + payload


SETTINGS_ACK = pack_head(SETTINGS, ACK, 0)


def ping(data: bytes, *, ack: bool) -> bytes:
    return pack_head(8 << 8 | PING, ACK if ack else 0, 0) + data


def goaway(last_stream_id: int, code: ErrorCode, debug: bytes) -> bytes:
    payload = struct.pack(">II", last_stream_id, code) + debug
    return pack_head(len(payload) << 8 | GOAWAY, 0, 0) + payload


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    return pack_head(4 << 8 | RST_STREAM, 0, stream_id) + code.to_bytes(4, "big")


def window_update(stream_id: int, credit: int) -> bytes:
    return pack_head(4 << 8 | WINDOW_UPDATE, 0, stream_id) + credit.to_bytes(4, "big")


def headers(stream_id: int, block: bytes, *, end_stream: bool, frame_bytes_max: int) -> bytes:
    """HEADERS, and CONTINUATION where the block is larger than one frame."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= frame_bytes_max:
        return pack_head(len(block) << 8 | HEADERS, flags | END_HEADERS, stream_id) + block
    out = [pack_head(frame_bytes_max << 8 | HEADERS, flags, stream_id), block[:frame_bytes_max]]
    for at in range(frame_bytes_max, len(block), frame_bytes_max):
        part = block[at : at + frame_bytes_max]
        last = END_HEADERS if at + frame_bytes_max >= len(block) else 0
        out += (pack_head(len(part) << 8 | CONTINUATION, last, stream_id), part)
    return b"".join(out)
