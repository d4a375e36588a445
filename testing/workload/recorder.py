"""Writes down what clients do, with stamps that never repeat."""

from __future__ import annotations

from collections.abc import Callable

from ..checkers.history import STAMPS_PER_SECOND, History, Operation, Watch

__all__ = ["Recorder"]


class Recorder:
    """The record of one run; all clients of the run share it.

    Args:
        now: true time in seconds: `trio.current_time` in a simulation as in a real program, if all clients
            are in one process.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.history = History()
        self._now = now
        self._start = now()
        self._last = 0
        self._clients = 0

    def stamp(self) -> int:
        """Now, and later than everything that was stamped before."""
        elapsed = int((self._now() - self._start) * STAMPS_PER_SECOND)
        self._last = max(self._last + 1, elapsed)
        return self._last

    def new_client(self) -> int:
        """A number for a client. One whose call has got lost goes on as another."""
        self._clients += 1
        return self._clients

    def add(self, operation: Operation) -> None:
        """Note an operation, once it is known what becomes of it."""
        self.history.operations.append(operation)

    def add_watch(self, watch: Watch) -> None:
        """Note a watch; its responses are added as they come."""
        self.history.watches.append(watch)
