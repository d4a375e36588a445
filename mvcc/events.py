"""What a write did to one key, as watchers see it.

The store makes one `Event` per change, in (main, sub) order. Its bytes are shared: `kv` is the same
object as in the answer to the client and in the value cache, and the wire form of the whole event is
built once, by the first watcher that needs it.

Framed bytes: `kv` is `tag 2 + length + mvccpb.KeyValue`, which is field 2 of mvccpb.Event as well
as field 2 of RangeResponse and PutResponse. `wire()` is field 11 of WatchResponse
(`tag 11 + length + mvccpb.Event`), ready to be joined.
"""

from __future__ import annotations

from typing import NamedTuple

from ..protowire import varint

__all__ = ["DELETE", "PUT", "Event", "History"]

PUT = 0
DELETE = 1

_DELETE_FIELD = b"\x08\x01"  # Event.type = DELETE; PUT is zero and so left out


class Event:
    """One change of one key.

    Attributes:
        kind: PUT or DELETE.
        key: the changed key.
        mod_revision: the main revision of the change.
        kv: framed KeyValue; for DELETE it holds the key and `mod_revision` only.
        created: True if this put made the key (its create_revision is `mod_revision`).
        prev: the framed KeyValue that was replaced, if it was at hand. Ask `Store.prev_kv(event)`,
            which also looks it up; None here does not mean that there was none.
    """

    __slots__ = ("_wire", "_wire_prev", "created", "key", "kind", "kv", "mod_revision", "prev")

    def __init__(
        self,
        kind: int,
        key: bytes,
        mod_revision: int,
        kv: bytes,
        created: bool,
        prev: bytes | None = None,
    ) -> None:
        self.kind = kind
        self.key = key
        self.mod_revision = mod_revision
        self.kv = kv
        self.created = created
        self.prev = prev
        self._wire: bytes | None = None
        self._wire_prev: bytes | None = None

    def __repr__(self) -> str:
        kind = "DELETE" if self.kind else "PUT"
        return f"<{kind} {self.key!r} at {self.mod_revision}>"

    def wire(self) -> bytes:
        """The event as an element of WatchResponse.events; encoded once."""
        wire = self._wire
        if wire is None:
            body = _DELETE_FIELD + self.kv if self.kind else self.kv
            wire = self._wire = b"\x5a" + varint(len(body)) + body
        return wire

    def wire_with_prev(self, prev: bytes | None) -> bytes:
        """The same with `prev_kv` (framed as field 2); `prev` comes from `Store.prev_kv(event)`."""
        if prev is None:
            return self.wire()
        wire = self._wire_prev
        if wire is None:
            head = _DELETE_FIELD + self.kv if self.kind else self.kv
            body = b"%b\x1a%b" % (head, prev[1:])  # field 3 in place of field 2
            wire = self._wire_prev = b"\x5a" + varint(len(body)) + body
        return wire


class History(NamedTuple):
    """A slice of the past: events in order, and the revision to ask for next.

    `next_revision` is the store's revision + 1 when the slice reached the present. Whole revisions
    only: all events of a revision are in one slice.
    """

    events: list[Event]
    next_revision: int
