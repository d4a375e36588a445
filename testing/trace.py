"""What happened in a run, as text: one line per event, with its virtual time.

Two runs are the same when their traces are. Every event goes into a digest, so comparing costs no memory; the text
is kept only when somebody wants to read it.
"""

from __future__ import annotations

import hashlib
import logging
from contextvars import ContextVar
from typing import TextIO

import trio

__all__ = ["MACHINE", "Trace", "TraceHandler"]

MACHINE: ContextVar[str] = ContextVar("triode.testing.machine", default="-")
"""The machine that the current task belongs to."""


class Trace:
    """A log of events. With `keep` the lines are in `lines`; with `out` they are written there as well."""

    def __init__(self, *, keep: bool = False, out: TextIO | None = None) -> None:
        self.lines: list[str] = []
        self.events = 0
        self._keep = keep
        self._out = out
        self._digest = hashlib.blake2b(digest_size=16)

    def event(self, who: str, what: str) -> None:
        """Note that `what` happened at `who`, now."""
        line = f"{trio.current_time():10.6f} {who:<4} {what}"
        self.events += 1
        self._digest.update(line.encode())
        if self._keep:
            self.lines.append(line)
        if self._out is not None:
            print(line, file=self._out)

    def digest(self) -> str:
        """A fingerprint of all events so far."""
        return self._digest.hexdigest()


class TraceHandler(logging.Handler):
    """Puts the log lines of nodes into a trace."""

    def __init__(self, trace: Trace, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        told = "".join(f" {name}={value}" for name, value in fields.items())
        error = f" {record.exc_info[1]!r}" if record.exc_info else ""
        self._trace.event(
            MACHINE.get(),
            f"{record.name.removeprefix('triode.')}: {record.getMessage()}{told}{error}",
        )
