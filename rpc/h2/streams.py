"""One stream (RFC 9113 section 5.1).

A stream object exists while the stream is open or half closed: `remote_closed` and `local_closed` say
which half. When both halves are closed, or either side resets, it leaves the connection's dict; idle and
closed streams are told apart by their number alone.
"""

from __future__ import annotations

from collections import deque
from typing import Any

__all__ = ["AWAITED", "RecentResets", "Stream"]

Chunk = bytes | memoryview


class _Awaited:
    """The head of a client's stream before the response has come."""

    whole = False
    content_length = None


AWAITED = _Awaited()


class Stream:
    """State of one stream. A plain slots class: one is made per request."""

    __slots__ = (
        "answered",
        "auto_credit",
        "body",
        "call",
        "end_queued",
        "granted",
        "head",
        "id",
        "local_closed",
        "owed",
        "queue",
        "queued_bytes",
        "received",
        "recv_window",
        "remote_closed",
        "send_window",
        "trailers_queued",
    )

    def __init__(self, id: int, head: Any, send_window: int, recv_window: int) -> None:
        self.id = id
        self.head = head
        """What `parse_head` made of the peer's first header block, or `AWAITED`."""
        self.send_window = send_window
        self.recv_window = recv_window
        self.owed = 0
        """Consumed bytes whose credit has not been returned yet."""
        self.received = 0
        """Body bytes so far (without padding), held against content-length."""
        self.granted = 0
        """Credit beyond the first window, for a body that is wanted whole."""
        self.body: list[bytes] | None = None
        """Collected pieces of a body that is wanted whole."""
        self.remote_closed = False
        self.local_closed = False
        self.answered = False
        """We have sent HEADERS: the peer has something for what it made us do."""
        self.auto_credit = True
        self.queue: deque[Chunk] | None = None
        """Body that waits for flow control credit."""
        self.queued_bytes = 0
        self.end_queued = False
        self.trailers_queued: bytes | None = None
        self.call: Any = None
        """A place for the layer above."""


RESETS_REMEMBERED_MAX = 1024


class RecentResets:
    """Streams we reset lately: what the peer had in flight for them is ignored. The oldest fall out."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[int, None] = {}

    def add(self, stream_id: int) -> None:
        if len(self._ids) >= RESETS_REMEMBERED_MAX:
            del self._ids[next(iter(self._ids))]
        self._ids[stream_id] = None

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._ids
