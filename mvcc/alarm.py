"""Alarms: what is wrong with a member, agreed on by all of them and kept until an operator disarms it.

NOSPACE says that a member's quota is used up, CORRUPT that its data differs from the others'. Which
requests an alarm refuses is the applier's business. The bucket `alarm` has etcd's form: the key is a
marshalled AlarmMember, the value empty.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backends.buffer import Backend
from ..errors import CorruptData
from ..protowire import fields, int_field, signed

__all__ = ["CORRUPT", "NAMES", "NONE", "NOSPACE", "Alarm", "Alarms"]

NONE, NOSPACE, CORRUPT = 0, 1, 2  # etcdserverpb.AlarmType
NAMES = {NONE: "NONE", NOSPACE: "NOSPACE", CORRUPT: "CORRUPT"}
BUCKET = "alarm"


class Alarm(NamedTuple):
    """One kind of alarm at one member (etcdserverpb.AlarmMember)."""

    member_id: int
    kind: int

    def encode(self) -> bytes:
        return int_field(1, self.member_id) + int_field(2, self.kind)

    @classmethod
    def decode(cls, data: bytes) -> Alarm:
        try:
            found = dict(fields(data))
            member_id, kind = found.get(1, 0), found.get(2, 0)
        except ValueError as bad:
            raise CorruptData(f"bucket alarm: {data.hex()} is not an AlarmMember") from bad
        if isinstance(member_id, bytes) or isinstance(kind, bytes):
            raise CorruptData(f"bucket alarm: {data.hex()} is not an AlarmMember")
        return cls(member_id, signed(kind))


class Alarms:
    """The alarms that are raised now, read from `backend`."""

    def __init__(self, backend: Backend) -> None:
        self.restore(backend)

    def restore(self, backend: Backend) -> None:
        """Read all alarms from a backend."""
        self._backend = backend
        backend.create_bucket(BUCKET)
        self._raised = {Alarm.decode(key) for key, _ in backend.range(BUCKET, b"", None)}

    def get(self, kind: int = NONE) -> list[Alarm]:
        """The alarms of a kind, or all of them, by member."""
        return sorted(a for a in self._raised if kind in {NONE, a.kind})

    def raised(self, kind: int) -> bool:
        """Whether any member has this alarm."""
        return any(alarm.kind == kind for alarm in self._raised)

    def activate(self, member_id: int, kind: int) -> Alarm | None:
        """Raise an alarm; raising it again is no error. None for kind NONE, which is no alarm."""
        if kind == NONE:
            return None
        alarm = Alarm(member_id, kind)
        if alarm not in self._raised:
            self._raised.add(alarm)
            self._backend.put(BUCKET, alarm.encode(), b"")
        return alarm

    def deactivate(self, member_id: int, kind: int) -> Alarm | None:
        """Disarm; None if there was no such alarm."""
        alarm = Alarm(member_id, kind)
        if alarm not in self._raised:
            return None
        self._raised.discard(alarm)
        self._backend.delete(BUCKET, alarm.encode())
        return alarm
