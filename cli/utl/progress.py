"""How far a long command is: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["progress"]

QUIET_SECONDS: Final = 0.5
"""What is over sooner needs no bar."""


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told of each step done.

    Args:
        title: what is being done.
        total: how many steps there are, about.
    """
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    bar = _Bar(title, total)
    try:
        yield bar.advance
    finally:
        bar.stop()


class _Bar:
    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._begun = time.monotonic()
        self._advance: Callable[[int], None] | None = None
        self.stop: Callable[[], None] = lambda: None

    def advance(self, count: int) -> None:
        self._done += count
        if self._advance is not None:
            self._advance(count)
        elif time.monotonic() - self._begun > QUIET_SECONDS:
            self._start()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        task = bar.add_task(self._title, total=max(self._total, self._done), completed=self._done)
        bar.start()
        bar.console.show_cursor(
            True
        )  # Ctrl-C ends the program at once, and nobody would show it again
        self._advance = lambda count: bar.advance(task, count)
        self.stop = bar.stop
