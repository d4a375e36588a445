"""WatchResponse on the wire, written by hand.

Fields (etcdserverpb.WatchResponse): header 1, watch_id 2, created 3, canceled 4, compact_revision 5,
cancel_reason 6, fragment 7, events 11. Zero values are left out. An event comes as `Event.wire()`:
field 11 already, so a response is a join, and the bytes of an event are the same object for all who
get it. `header` below is always field 1 with its tag and length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..protowire import bytes_field, int_field
from .events import DELETE, PUT, Event

__all__ = [
    "CREATED",
    "CANCELED",
    "NO_DELETE",
    "NO_PUT",
    "WITH_PREV_KV",
    "Chunk",
    "chunks_of",
    "control",
    "fragments",
    "framed_header",
    "id_field",
]

# A watcher's variant: which events it wants, and in which form. Watchers on one range with one
# variant get the same bytes.
NO_PUT = 1
NO_DELETE = 2
WITH_PREV_KV = 4

CREATED = b"\x18\x01"
CANCELED = b"\x20\x01"
_FRAGMENT = b"\x38\x01"

# A response that carries several revisions ends at the first revision boundary past one of these.
# A single revision is never split, except for watchers that asked for fragments.
RESPONSE_BYTES_TARGET = 1 << 20
RESPONSE_REVISIONS_MAX = 1000


def framed_header(header: bytes) -> bytes:
    """An encoded ResponseHeader as field 1."""
    return bytes_field(1, header)


def id_field(watch_id: int) -> bytes:
    return int_field(2, watch_id)


def control(
    header: bytes, watch_id: int, flags: bytes, *, compact_revision: int = 0, reason: str = ""
) -> bytes:
    """A response without events. `flags` is CREATED, CANCELED, both joined, or b"" for progress."""
    tail = int_field(5, compact_revision)
    if reason:
        tail += bytes_field(6, reason.encode())
    return header + id_field(watch_id) + flags + tail


class Chunk:
    """The events of one response: whole revisions, `first` to `last`, encoded in `parts`.

    `messages` holds the finished responses by watch id, for as long as one delivery lasts.
    """

    __slots__ = ("body", "first", "last", "messages", "parts")

    def __init__(self, first: int, last: int, parts: list[bytes]) -> None:
        self.first = first
        self.last = last
        self.parts = parts
        self.messages: dict[int, bytes] = {}
        self.body = parts[0] if len(parts) == 1 else b"".join(parts)


def chunks_of(
    events: Sequence[Event],
    variant: int,
    first_revision: int,
    prev_kv: Callable[[Event], bytes | None],
) -> list[Chunk]:
    """Encode what a watcher of `variant` gets out of `events` from `first_revision` on.

    `events` are ordered by revision. Empty if the filters drop everything.
    """
    if variant & NO_PUT:
        events = [event for event in events if event.kind != PUT]
    if variant & NO_DELETE:
        events = [event for event in events if event.kind != DELETE]
    with_prev = variant & WITH_PREV_KV
    chunks: list[Chunk] = []
    parts: list[bytes] = []
    size = revisions = first = last = 0
    for event in events:
        revision = event.mod_revision
        if revision < first_revision:
            continue
        if revision != last:
            if size >= RESPONSE_BYTES_TARGET or revisions >= RESPONSE_REVISIONS_MAX:
                chunks.append(Chunk(first, last, parts))
                parts = []
                size = revisions = 0
            if not parts:
                first = revision
            last = revision
            revisions += 1
        wire = event.wire_with_prev(prev_kv(event)) if with_prev else event.wire()
        parts.append(wire)
        size += len(wire)
    if parts:
        chunks.append(Chunk(first, last, parts))
    return chunks


def fragments(prefix: bytes, chunk: Chunk, bytes_max: int) -> Iterator[bytes]:
    """The response(s) for one chunk to a watcher that asked for fragments.

    A response of at least `bytes_max` with at least two events is split so that each part stays
    below, unless one event alone is larger; all parts but the last are flagged.
    `prefix` is the header and the watch id.
    """
    parts = chunk.parts
    if len(parts) < 2 or len(prefix) + len(chunk.body) < bytes_max:
        yield prefix + chunk.body
        return
    flagged = prefix + _FRAGMENT
    begin, size = 0, len(flagged)
    for at, part in enumerate(parts):
        if at > begin and size + len(part) >= bytes_max:
            yield flagged + b"".join(parts[begin:at])
            begin, size = at, len(flagged)
        size += len(part)
    yield prefix + b"".join(parts[begin:])
