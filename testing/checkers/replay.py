"""The one history that all members share, revision by revision: what reads and watches are held against."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from .evidence import Log
from .history import WatchRequest
from .model import Change
from .requests import KeyValue, within

__all__ = ["Replay"]


class Replay:
    """What each revision changed, and so what every key was at each revision.

    Args:
        first: the revision at which it begins; changes of later ones are known.
        keys: the keys at that revision.
    """

    def __init__(self, first: int = 1, keys: Mapping[bytes, KeyValue] | None = None) -> None:
        self.first = first
        self.last = first
        self._changes: dict[int, tuple[Change, ...]] = {}
        self._lives: dict[bytes, tuple[list[int], list[KeyValue | None]]] = {}
        for key, kv in (keys or {}).items():
            self._lives[key] = ([first], [kv])

    @classmethod
    def of_log(cls, log: Log, keys: Mapping[bytes, KeyValue] | None = None) -> Replay:
        """The history as a member's store tells it; `keys` are those at the log's first revision."""
        replay = cls(log.first, keys)
        for revision in range(log.first + 1, log.last + 1):
            replay.append(log.changes[revision])
        return replay

    def append(self, changes: Iterable[Change]) -> None:
        """Add the next revision."""
        self.last += 1
        made = self._changes[self.last] = tuple(changes)
        for key, kv in dict(made).items():
            revisions, kvs = self._lives.setdefault(key, ([], []))
            revisions.append(self.last)
            kvs.append(kv)

    def changes(self, revision: int) -> tuple[Change, ...]:
        """What a revision changed, in order; empty outside what is known."""
        return self._changes.get(revision, ())

    def at(self, key: bytes, revision: int) -> KeyValue | None:
        """A key as it was after a revision (not below `first`)."""
        life = self._lives.get(key)
        if life is None:
            return None
        place = bisect_right(life[0], revision)
        return life[1][place - 1] if place else None

    def keys(
        self, revision: int, start: bytes = b"\0", end: bytes = b"\0"
    ) -> dict[bytes, KeyValue]:
        """The keys of a range after a revision, in order."""
        found = {}
        for key in sorted(self._lives):
            if within(key, start, end) and (kv := self.at(key, revision)):
                found[key] = kv
        return found

    def told(self, request: WatchRequest, first: int, last: int) -> list[tuple[int, Change]]:
        """What a watch has to tell of the revisions from `first` to `last`, both included."""
        return [
            (revision, change)
            for revision in range(max(first, self.first + 1), min(last, self.last) + 1)
            for change in self._changes[revision]
            if request.wants(change.key, change.kv is None)
        ]
