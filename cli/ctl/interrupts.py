"""Ctrl-C and SIGTERM for commands that have something to put back before they end.

All others are ended by the signal itself.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

__all__ = ["Stop", "until_signal"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether the command was asked to end.

    Attributes:
        event: set by the first signal.
        number: that signal.
    """

    def __init__(self) -> None:
        self.event = trio.Event()
        self.number: signal.Signals | None = None
        self._scopes: set[trio.CancelScope] = set()

    def cancels(self) -> trio.CancelScope:
        """A scope, to be entered at once, that a signal cancels."""
        scope = trio.CancelScope()
        self._scopes.add(scope)
        if self.event.is_set():
            scope.cancel()
        return scope

    def spare(self, scope: trio.CancelScope) -> None:
        """From now on a signal does not cancel this scope."""
        self._scopes.discard(scope)

    def _received(self, number: int) -> None:
        if self.number is None:
            self.number = signal.Signals(number)
        self.event.set()
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
async def until_signal() -> AsyncIterator[Stop]:
    """For the length of the block, signals are told to a `Stop` instead of ending the process.

    SIGHUP is left alone if it is ignored, as after `nohup`; SIGINT is not: shells ignore it in all background jobs.
    """
    stop = Stop()

    async def listen(signals: AsyncIterator[int]) -> None:
        async for number in signals:
            stop._received(number)

    numbers = [
        number
        for number in SIGNALS
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]
    raised: BaseException | None = None
    with trio.open_signal_receiver(*numbers) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, signals)
            try:
                yield stop
            except BaseException as error:  # noqa: BLE001  # raised below, in no group
                raised = error
            nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised
