"""`triodectl check`: is the cluster fast enough, and how much memory do keys take?"""

from __future__ import annotations

from typing import Final, NoReturn

import attrs
import trio

from ....client.client import Client
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, BAD_FEATURE, ERROR, INTERRUPTED, OK, Failure
from ...common.flags import Flag
from ...common.goquote import as_bytes, as_text
from ..checks.loads import DATASCALE, LOADS, PERF, DatascaleLoad, PerfLoad
from ..checks.results import Results, errors_of, judge_perf
from ..checks.run import (
    clean,
    clients_for,
    defragment,
    paced,
    refuse_if_used,
    so_many,
    write,
)
from ..context import Context
from ..http_get import PageError, fetch
from ..interrupts import until_signal
from ..progress import Bar, progress
from ..top.metrics import parse
from ..trust import tls_of

__all__ = ["COMMANDS"]

MEMORY: Final = "process_resident_memory_bytes"
PAGE_SECONDS: Final = 10.0
MEBIBYTE: Final = 1024 * 1024


async def perf(ctx: Context) -> int:
    """Write at a rate for a minute, and judge how that went."""
    load = PERF[_load(ctx)]
    seconds = ctx.flags.seconds("duration")
    if seconds <= 0:
        raise Failure("the duration must be positive", BAD_ARGUMENTS)
    load = attrs.evolve(load, seconds=seconds)
    start = _prefix(ctx)
    async with clients_for(ctx, load.clients) as clients, until_signal() as stop:
        await refuse_if_used(ctx, clients[0], start)
        finished: tuple[Results, float] | None = None
        with stop.cancels():
            finished = await _write_for(clients, load, start)
        compact = ctx.flags.switch("auto-compact") and finished is not None
        cleaned = await clean(ctx, clients[0], start, compact=compact)
        if finished is None:
            _give_up(start, cleaned=cleaned)
        if ctx.flags.switch("auto-defrag"):
            await defragment(ctx, clients[0])
    results, took = finished
    lines, passed = judge_perf(results.summary(took), load.writes_per_second)
    for line in lines:
        _verdict(ctx, line)
    _verdict(ctx, "PASS" if passed else "FAIL")
    return OK if passed else ERROR


async def _write_for(clients: list[Client], load: PerfLoad, start: bytes) -> tuple[Results, float]:
    requests = paced(start, load.key_bytes, load.value_bytes, load.writes_per_second, load.seconds)
    title = f"{load.writes_per_second} writes/s"
    with progress(title, load.seconds) as bar:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tick, bar)
            done = await write(clients, requests, load.clients)
            nursery.cancel_scope.cancel()
    return done


async def _tick(bar: Bar) -> None:
    begun = trio.current_time()
    while True:
        await trio.sleep(0.1)
        bar.set(done=trio.current_time() - begun)


async def datascale(ctx: Context) -> int:
    """Fill in keys, and see how the first endpoint's memory grows."""
    load = DATASCALE[_load(ctx)]
    pairs = ctx.flags.number("pairs")
    if pairs < 0:
        raise Failure("the number of pairs must be positive", BAD_ARGUMENTS)
    load = attrs.evolve(load, pairs=pairs or load.pairs)
    start = _prefix(ctx)
    async with clients_for(ctx, load.clients) as clients, until_signal() as stop:
        client = clients[0]
        await refuse_if_used(ctx, client, start)
        before = await _memory(ctx, client, "before")
        ctx.out.line(
            f"Start data scale check for work load [{load.pairs} key-value pairs,"
            f" {load.pair_bytes} bytes per key-value, {load.clients} concurrent clients]."
        )
        ctx.out.flush()
        results: Results | None = None
        after = 0.0
        unread: Failure | None = None
        with stop.cancels():
            results = await _fill(clients, load, start)
            try:
                after = await _memory(ctx, client, "after")
            except Failure as failure:  # raised again when the keys are gone
                unread = failure
        compact = ctx.flags.switch("auto-compact") and bool(after)
        cleaned = await clean(ctx, client, start, compact=compact)
        if unread is not None:
            raise unread
        if results is None or not after:
            _give_up(start, cleaned=cleaned)
        if not cleaned:
            return ERROR
        if ctx.flags.switch("auto-defrag"):
            await defragment(ctx, client)
    wrong = errors_of(results.summary(0))
    for line in wrong:
        _verdict(ctx, line)
    if wrong:
        return ERROR
    used = (after - before) / MEBIBYTE
    _verdict(ctx, f"PASS: Approximate system memory used : {used:.2f} MB.")
    return OK


async def _fill(clients: list[Client], load: DatascaleLoad, start: bytes) -> Results:
    requests = so_many(start, load.key_bytes, load.value_bytes, load.pairs)
    with progress(f"{load.pairs} pairs", load.pairs) as bar:
        results, _ = await write(clients, requests, load.clients, lambda: bar.advance(1))
    return results


async def _memory(ctx: Context, client: Client, when: str) -> float:
    """What the first endpoint's process takes, in bytes. Raises Failure."""
    endpoint = client.channel.endpoints[0]
    try:
        page = await fetch(endpoint, "/metrics", tls=tls_of(ctx.flags), seconds=PAGE_SECONDS)
    except PageError as error:
        ctx.out.line(f"fetch error: {error}")
        value = None
    else:
        value = parse(page.decode("utf-8", "replace")).get(MEMORY)
    if not value:
        _verdict(ctx, f"FAIL: Could not read {MEMORY} {when} the put operations.")
        raise Failure(f"{endpoint} does not tell how much memory it takes")
    return value


def _load(ctx: Context) -> str:
    ctx.settle()
    given = ctx.flags.text("load")
    if given not in LOADS:
        raise Failure(f"unknown load option {given}", BAD_FEATURE)
    return LOADS[given]


def _prefix(ctx: Context) -> bytes:
    """Where the keys go: all below it is deleted at the end, so it must not be everything."""
    start = as_bytes(ctx.flags.text("prefix"))
    if not start:
        raise Failure("the prefix must not be empty", BAD_ARGUMENTS)
    return start


def _give_up(start: bytes, *, cleaned: bool) -> NoReturn:
    what = "were deleted" if cleaned else "are still there"
    raise Failure(f"interrupted; the keys below {as_text(start)} {what}", INTERRUPTED)


def _verdict(ctx: Context, line: str) -> None:
    ctx.out.line(line, "green" if line.startswith("PASS") else "red")


_WORKLOADS = "Accepted workloads: s(small), m(medium), l(large), xl(xLarge)"
_CHOICES = ("small", "medium", "large", "xLarge")
_AFTERWARDS = (
    Flag.switch("auto-compact", "Compact storage with last revision after test is finished."),
    Flag.switch("auto-defrag", "Defragment storage after test is finished."),
)

COMMANDS = (
    Command(
        "check",
        "check <subcommand>",
        "commands for checking properties of the etcd cluster",
        example="  triodectl check perf --load=m --auto-compact",
    ),
    Command(
        "check perf",
        "perf [options]",
        "Check the performance of the etcd cluster",
        run=perf,
        flags=(
            Flag.text(
                "load",
                f"The performance check's workload model. {_WORKLOADS}. Different workload models use different"
                " configurations in terms of number of clients and expected throughput.",
                default="s",
                choices=_CHOICES,
            ),
            Flag.text(
                "prefix",
                "The prefix for writing the performance check's keys.",
                default="/etcdctl-check-perf/",
            ),
            *_AFTERWARDS,
            Flag.seconds(
                "duration", "How long to write; etcdctl always takes a minute.", default=60.0
            ),
        ),
        long=(
            "Writes keys of 256 bytes with values of 1 KiB at the load's rate (s: 150, m: 1000, l: 8000, xl: 15000"
            " per second),\ndeletes them, and says whether the cluster has kept up: at least 90 % of the rate, no"
            " write above 500 ms,\na standard deviation of at most 100 ms. The exit code is 1 if it has not."
        ),
        example="  triodectl check perf --load=m --auto-compact --auto-defrag",
    ),
    Command(
        "check datascale",
        "datascale [options]",
        "Check the memory usage of holding data for different workloads on a given server endpoint.",
        run=datascale,
        flags=(
            Flag.text(
                "load",
                f"The datascale check's workload model. {_WORKLOADS}",
                default="s",
                choices=_CHOICES,
            ),
            Flag.text(
                "prefix",
                "The prefix for writing the datascale check's keys.",
                default="/etcdctl-check-datascale/",
            ),
            *_AFTERWARDS,
            Flag.number("pairs", "How many pairs to write, instead of the load's number."),
        ),
        long=(
            "If no endpoint is provided, localhost will be used. If multiple endpoints are provided, first endpoint"
            " will be used."
        ),
        example="  triodectl check datascale --load=s --auto-compact",
    ),
)
