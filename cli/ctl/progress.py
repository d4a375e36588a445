"""How far a long command is: a bar on stderr if that is a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar", "progress"]


class Bar:
    """A bar, or nothing. `progress` makes it."""

    def __init__(self, shown: Progress | None, title: str, total: float | None) -> None:
        self._shown = shown
        self._task = shown.add_task(title, total=total) if shown is not None else None

    def advance(self, amount: float) -> None:
        """So much more is done."""
        if self._shown is not None and self._task is not None:
            self._shown.advance(self._task, amount)

    def set(self, *, done: float, total: float | None = None) -> None:
        """So much is done, of so much."""
        if self._shown is not None and self._task is not None:
            self._shown.update(self._task, completed=done, total=total)


@contextmanager
def progress(title: str, total: float | None = None, *, sizes: bool = False) -> Iterator[Bar]:
    """Show a bar for the length of the block; it does not stay.

    Args:
        title: what is being done.
        total: of which the bar shows a part; None: not known yet.
        sizes: amounts are bytes.
    """
    if not sys.stderr.isatty():
        yield Bar(None, title, total)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    columns += [DownloadColumn(), TransferSpeedColumn()] if sizes else [TaskProgressColumn()]
    columns.append(TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bar(shown, title, total)
