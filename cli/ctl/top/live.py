"""The view on a terminal: drawn anew at each look, until `q` or Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from .collect import Collector
from .frame import Frame, Table, fitted, frame_of
from .sample import Sample, rates_of

__all__ = ["run_live"]

FIRST_SECONDS = 0.5
QUIT_KEYS = b"qQ\x1b\x03\x04"  # Escape, Ctrl-C and Ctrl-D too
_STYLES = {"leader": "bold green", "down": "bold red", "learner": "yellow"}


async def run_live(collector: Collector, interval: float, *, colour: bool) -> None:
    """Show the cluster, a look every `interval` seconds.

    The terminal is as before when this returns, however it ends.
    """
    console = Console(no_color=not colour, highlight=False)
    with _raw_keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        async with trio.open_nursery() as nursery:
            quit_scope = nursery.cancel_scope
            nursery.start_soon(_wait_for_quit_key, quit_scope)
            nursery.start_soon(_wait_for_signal, quit_scope)
            await _draw_for_ever(live, collector, interval)


async def _draw_for_ever(live: Live, collector: Collector, interval: float) -> None:
    before: Sample | None = None
    while True:
        # The first look knows no rates: let the second come soon.
        due = trio.current_time() + (interval if before else min(interval, FIRST_SECONDS))
        now = await collector.sample()
        frame = frame_of(now, rates_of(before, now))
        live.update(_renderable(frame, interval, live.console.width), refresh=True)
        before = now
        await trio.sleep_until(due)


async def _wait_for_quit_key(scope: trio.CancelScope) -> None:
    number = sys.stdin.fileno()
    if not os.isatty(number):
        return
    while True:
        await trio.lowlevel.wait_readable(number)
        keys = os.read(number, 64)
        if not keys or any(key in QUIT_KEYS for key in keys):
            scope.cancel()
            return


async def _wait_for_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()
            return


@contextmanager
def _raw_keys() -> Iterator[None]:
    """Keys come at once and are not shown."""
    number = sys.stdin.fileno()
    if not os.isatty(number):
        yield
        return
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield
    finally:
        termios.tcsetattr(number, termios.TCSAFLUSH, before)


# --- drawing ------------------------------------------------------------------------------------


def _renderable(frame: Frame, interval: float, width: int) -> RenderableType:
    head = Text.assemble(("triodectl top", "bold"), (f"   every {interval:g}s, q quits", "dim"))
    parts: list[RenderableType] = [head, _facts(frame)]
    for table in frame.tables:
        parts += [Text(), _table(fitted(table, width))]
    return Group(*parts)


def _facts(frame: Frame) -> RenderableType:
    grid = RichTable.grid(padding=(0, 2))
    for name, text in frame.facts:
        alarm = name == "alarms" and text != "none"
        style = "bold red" if alarm else "bold" if name in ("leader", "per second") else ""
        grid.add_row(Text(name, style="cyan"), Text(text, style=style))
    return grid


def _table(table: Table) -> RenderableType:
    out = RichTable(
        title=Text(table.title, style="bold"),
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
        padding=(0, 2, 0, 0),
    )
    for name in table.header:
        out.add_column(name, justify="left" if name in table.left else "right", no_wrap=True)
    for row in table.rows:
        out.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return out
