from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import pytest
import trio

from triode.actors import Actor, Reply, Restart

Message = str | Reply[str]


class Probe(Actor[Message]):
    """Writes its life to a journal; obeys "crash", "end" (leaves), "stop" and answers asks."""

    def __init__(self, name: str, journal: list[str], restart: Restart) -> None:
        super().__init__(name=name)
        self.restart = restart
        self.journal = journal
        self.start_errors: list[BaseException] = []
        self.start_seconds = 0.0
        self.stop_seconds = 0.0
        self.stop_error: Exception | None = None
        self.handled: list[str] = []

    def note(self, event: str) -> None:
        self.journal.append(f"{event} {self.name}")

    async def started(self) -> None:
        await trio.sleep(self.start_seconds)
        if self.start_errors:
            self.note("fails")
            raise self.start_errors.pop(0)
        self.note("starts")

    async def handle(self, batch: list[Message]) -> None:
        for message in batch:
            if isinstance(message, Reply):
                message.set(self.name)
            elif message == "crash":
                self.note("crashes")
                raise ValueError(f"{self.name} was told to crash")
            elif message == "stop":
                self.stop()
            else:
                self.handled.append(message)

    async def stopping(self) -> None:
        self.note("stopping")
        await trio.sleep(self.stop_seconds)
        if self.stop_error is not None:
            raise self.stop_error

    def cleanup(self) -> None:
        self.note("down")


class MakeProbe(Protocol):
    def __call__(self, name: str, restart: Restart = Restart.PERMANENT) -> Probe: ...


@pytest.fixture
def journal() -> list[str]:
    return []


@pytest.fixture
def probe(journal: list[str]) -> MakeProbe:
    def make(name: str, restart: Restart = Restart.PERMANENT) -> Probe:
        return Probe(name, journal, restart)

    return make


@pytest.fixture
def take(journal: list[str]) -> Callable[[], list[str]]:
    """What was journaled since the last call."""

    def take() -> list[str]:
        taken = journal[:]
        journal.clear()
        return taken

    return take


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="triode.actors")
