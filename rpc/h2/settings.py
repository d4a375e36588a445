"""SETTINGS (RFC 9113 section 6.5): what each side tells the other about itself."""

from __future__ import annotations

import struct

import attrs

from .errors import ConnectionFault, ErrorCode
from .frames import DEFAULT_FRAME_BYTES_MAX, DEFAULT_WINDOW_BYTES, WINDOW_BYTES_MAX
from .limits import Limits

__all__ = ["PeerSettings", "announced", "parse"]

HEADER_TABLE_SIZE = 0x1
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
MAX_HEADER_LIST_SIZE = 0x6

_FRAME_BYTES_MAX = 2**24 - 1
_SETTING_BYTES = 6
_UNBOUNDED = 2**32 - 1


@attrs.define
class PeerSettings:
    """What the peer has announced; the values before that are the RFC's defaults."""

    header_table_bytes_max: int = 4096
    concurrent_streams_max: int = _UNBOUNDED
    initial_window_bytes: int = DEFAULT_WINDOW_BYTES
    frame_bytes_max: int = DEFAULT_FRAME_BYTES_MAX
    header_list_bytes_max: int = _UNBOUNDED


def announced(limits: Limits, *, client: bool) -> dict[int, int]:
    """The settings that we send; those at the RFC's default are left out."""
    wanted = {
        HEADER_TABLE_SIZE: (limits.header_table_bytes_max, 4096),
        MAX_CONCURRENT_STREAMS: (limits.concurrent_streams_max, _UNBOUNDED),
        INITIAL_WINDOW_SIZE: (limits.stream_window_bytes, DEFAULT_WINDOW_BYTES),
        MAX_FRAME_SIZE: (limits.frame_bytes_max, DEFAULT_FRAME_BYTES_MAX),
        MAX_HEADER_LIST_SIZE: (limits.header_list_bytes_max, _UNBOUNDED),
    }
    values = {key: value for key, (value, default) in wanted.items() if value != default}
    if client:
        values.pop(MAX_CONCURRENT_STREAMS, None)
        values[ENABLE_PUSH] = 0
    return values


def parse(payload: bytes) -> list[tuple[int, int]]:
    """The validated (identifier, value) pairs; raises ConnectionFault with the RFC's code."""
    if len(payload) % _SETTING_BYTES:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
    pairs = list(struct.iter_unpack(">HI", payload))
    for key, value in pairs:
        if key == ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
        if key == INITIAL_WINDOW_SIZE and value > WINDOW_BYTES_MAX:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE too large")
        if key == MAX_FRAME_SIZE and not DEFAULT_FRAME_BYTES_MAX <= value <= _FRAME_BYTES_MAX:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
    return pairs
