"""Every bound of an HTTP/2 connection, in one record.

What a peer may make us hold or do is bounded here; `docs/rpc-wire.md` lists what happens at each bound.
"""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds that this side sets; the first group is announced to the peer in SETTINGS."""

    concurrent_streams_max: int = 2**32 - 1
    """SETTINGS_MAX_CONCURRENT_STREAMS: streams the peer may have open at once; more are refused
    (REFUSED_STREAM). 2**32 - 1 is etcd's default and says that there is no bound ..."""
    stream_window_bytes: int = 65_535
    """SETTINGS_INITIAL_WINDOW_SIZE: unread bytes one stream may send us; at most 2**31 - 1."""
    connection_window_bytes: int = 8 << 20
    """Bytes all streams together may send before we have parsed them; 65 535 to 2**31 - 1."""
    frame_bytes_max: int = 16384
    """SETTINGS_MAX_FRAME_SIZE: 16 384 to 16 777 215. Larger frames: FRAME_SIZE_ERROR."""
    header_table_bytes_max: int = 4096
    """SETTINGS_HEADER_TABLE_SIZE: the memory of the HPACK decoder."""
    header_list_bytes_max: int = 64 << 10
    """SETTINGS_MAX_HEADER_LIST_SIZE, 32 bytes added per field: more ends the stream; a compressed
    block of more than this (CONTINUATION flood) ends the connection (ENHANCE_YOUR_CALM)."""

    open_streams_max: int = 65_536
    """... but memory has one: streams beyond this are refused whatever was announced."""
    body_bytes_max: int = (2 << 20) + 5
    """Largest body that is collected for a call wanted whole; more is reported as BodyTooLarge."""
    collected_bytes_max: int = 64 << 20
    """Incomplete bodies of all streams together; beyond it a stream is reported as BodyTooLarge."""
    backlog_bytes_max: int = 256 << 20
    """Bytes waiting for the peer's flow control credit. A message offered beyond it ends the
    connection (ENHANCE_YOUR_CALM): the peer asks and asks, but does not read."""
    replies_bytes_max: int = 1 << 20
    """Control frames we owe (acks, resets) that nobody has taken with `data_to_send`."""
    nuisance_burst: int = 10_000
    """Frames that cost us work and bring none (RST_STREAM before any answer, PING, SETTINGS, empty
    DATA or CONTINUATION, PRIORITY, tiny WINDOW_UPDATE, faulty streams) in one burst ..."""
    nuisance_per_second: int = 1000
    """... and how many of them time forgives each second, where a clock is given."""
    memo_blocks_max: int = 256
    """Distinct header blocks, and distinct heads, remembered for reuse."""
    memo_block_bytes_max: int = 2048
    """Longer header blocks are not remembered."""
