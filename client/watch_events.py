"""What a watch yields."""

from __future__ import annotations

import enum

from ..rpc.pb.kv_pb2 import Event as EventMessage
from ..rpc.pb.kv_pb2 import KeyValue

__all__ = ["Event", "EventType"]


class EventType(enum.IntEnum):
    """What happened; the first two are etcd's numbers."""

    PUT = 0
    DELETE = 1
    PROGRESS = 2
    """Nothing: all events up to `Event.revision` have been yielded."""


_NOTHING = KeyValue()


class Event:
    """One change of one key, or a word on the progress of the watch.

    Attributes:
        message: the protobuf message; in a namespace the keys in it are without its prefix.
        type: of what kind it is.
        revision: the store's revision that the change made; all changes of one transaction bear the same.
    """

    __slots__ = ("_revision", "message", "type")

    def __init__(self, message: EventMessage) -> None:
        self.message = message
        self.type = EventType.DELETE if message.type else EventType.PUT
        self._revision = 0

    @classmethod
    def progress(cls, revision: int) -> Event:
        """The event that says how far the watch is."""
        event = cls(EventMessage())
        event.type = EventType.PROGRESS
        event._revision = revision
        return event

    @property
    def revision(self) -> int:
        return self._revision or self.message.kv.mod_revision

    @property
    def kv(self) -> KeyValue:
        """The key after the change; after a deletion it has only `key` and `mod_revision`."""
        return self.message.kv

    @property
    def prev_kv(self) -> KeyValue | None:
        """The key before the change: with `prev_kv=True`, if there was one that is not compacted."""
        return self.message.prev_kv if self.message.HasField("prev_kv") else None

    @property
    def key(self) -> bytes:
        return self.message.kv.key

    @property
    def value(self) -> bytes:
        """The value that was put; empty for a deletion."""
        return self.message.kv.value

    @property
    def is_put(self) -> bool:
        return self.type is EventType.PUT

    @property
    def is_delete(self) -> bool:
        return self.type is EventType.DELETE

    @property
    def is_create(self) -> bool:
        """Whether a key was put that was not there before."""
        kv = self.message.kv
        return self.type is EventType.PUT and kv.create_revision == kv.mod_revision

    def __repr__(self) -> str:
        if self.type is EventType.PROGRESS:
            return f"<Event PROGRESS at {self.revision}>"
        return f"<Event {self.type.name} {self.key!r} at {self.revision}>"
