"""A disk that loses in a crash what was not synced, as a suffix of what was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triode.raft import MemoryStorage

__all__ = ["Disk"]


class Disk:
    """What is written is seen at once in `view`, and survives a crash only after `sync`."""

    def __init__(self) -> None:
        self.view = MemoryStorage()
        self._durable = MemoryStorage()
        self._unsynced: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    @property
    def durable(self) -> MemoryStorage:
        """What a crash leaves at least. To be looked at only."""
        return self._durable

    def write(self, method: Callable[..., object], *arguments: Any) -> None:
        """Call a method of MemoryStorage."""
        method(self.view, *arguments)
        self._unsynced.append((method, arguments))

    def sync(self) -> None:
        """Make all writes durable."""
        for method, arguments in self._unsynced:
            method(self._durable, *arguments)
        self._unsynced.clear()

    def crash(self, kept: int) -> None:
        """Lose the writes that were not synced, but for the first `kept` of them."""
        for method, arguments in self._unsynced[:kept]:
            method(self._durable, *arguments)
        self._unsynced.clear()
        self.view = MemoryStorage()
        vars(self.view).update(vars(self._durable))
        self.view._entries = list(self._durable._entries)

    @property
    def unsynced(self) -> int:
        """The number of writes that a crash may lose."""
        return len(self._unsynced)
