"""The connections that have something to send: each is written once at the end of a turn."""

from __future__ import annotations

from typing import Protocol

from .log import Log

__all__ = ["Flushable", "Outbox"]

log = Log("triode.serving")


class Flushable(Protocol):
    """Something with bytes to write."""

    def flush(self) -> None:
        """Write them, as far as possible without waiting."""

    def lose(self) -> None:
        """Writing has failed in a way that was not foreseen: drop everything."""


class Outbox:
    """Collects what was touched during a turn of the applier or another actor."""

    def __init__(self) -> None:
        self._dirty: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """`connection` has something to send; it keeps itself from being added twice."""
        self._dirty.append(connection)

    def flush(self) -> None:
        """Write everything that was added. A connection that fails takes nobody with it."""
        while self._dirty:
            dirty, self._dirty = self._dirty, []
            for connection in dirty:
                try:
                    connection.flush()
                except Exception as error:  # noqa: BLE001  # the applier calls this: it must go on
                    log.failure("writing to a connection failed", error)
                    connection.lose()
