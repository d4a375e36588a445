"""`triodectl top`: the cluster at a glance, live."""

from __future__ import annotations

import os
import sys
from typing import Final

import trio

from ...common.colour import wanted
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, BAD_FEATURE, ERROR, OK, Failure
from ...common.flags import Flag
from ..context import Context
from ..interrupts import until_signal
from ..top.collect import Collector
from ..top.frame import frame_of, lines_of
from ..top.sample import rates_of
from ..trust import tls_of
from ._arguments import endpoints_of
from .endpoint import CLUSTER

__all__ = ["COMMANDS"]

INTERVAL_SECONDS: Final = 2.0
INTERVAL_SECONDS_MIN: Final = 0.05


async def top(ctx: Context) -> int:
    """Look at the members again and again; `--once` prints one frame."""
    ctx.settle()
    if ctx.arguments:
        raise Failure("top command accepts no arguments", BAD_ARGUMENTS)
    if ctx.form != "simple":
        raise Failure(f"{ctx.form} not supported as output format", BAD_FEATURE)
    interval = ctx.flags.seconds("interval")
    if interval < INTERVAL_SECONDS_MIN:
        raise Failure(f"the interval must be {INTERVAL_SECONDS_MIN:g}s or more", BAD_ARGUMENTS)
    async with ctx.client() as client:
        collector = Collector(
            client,
            await endpoints_of(ctx, client),
            tls=tls_of(ctx.flags),
            actors=not ctx.flags.switch("no-actors"),
        )
        if ctx.flags.switch("once") or not _can_draw():
            return await _once(ctx, collector, interval)
        from ..top.live import run_live

        colour = wanted(sys.stdout) and not ctx.flags.switch("no-color")
        await run_live(collector, interval, colour=colour)
    return OK


def _can_draw() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


async def _once(ctx: Context, collector: Collector, interval: float) -> int:
    """Two looks, since rates need them; one frame. The exit code says whether anybody has answered."""
    async with until_signal() as stop:
        with stop.cancels():
            first = await collector.sample()
            await trio.sleep(interval)
            second = await collector.sample()
            for line in lines_of(frame_of(second, rates_of(first, second))):
                ctx.out.line(line)
            return OK if second.best() is not None else ERROR
    return OK


COMMANDS = (
    Command(
        "top",
        "top [options]",
        "Shows the members and what they do, live",
        run=top,
        flags=(
            CLUSTER,
            Flag.switch("once", "print one frame as plain text and end"),
            Flag.seconds("interval", "time from one look to the next", default=INTERVAL_SECONDS),
            Flag.switch("no-actors", "leave out the actors of Triode members"),
            Flag.switch("no-color", "no colours"),
        ),
        long=(
            "Shows the leader, revision, raft term and index, sizes, alarms, leases, watchers, and what is read and"
            " written\nper second; of members of Triode with a page /ui their actors, too. q or Ctrl-C leaves.\n"
            "If stdout is no terminal, one frame is printed."
        ),
        example="  triodectl top --cluster\n  triodectl top --once --interval=5s",
    ),
)
