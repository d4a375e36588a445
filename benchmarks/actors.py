"""What the actor kernel costs: messages, asks, children, restarts.

    python -m benchmarks.actors [--quick]

Each line is the best of several runs; an actor's task and its users share one thread and one core.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Awaitable, Callable
from time import perf_counter

import trio
import trio.testing

from triode.actors import Actor, Backoff, Mailbox, Reply, Restart, Supervisor, running

RUNS = 5


class Sink(Actor[int]):
    mailbox_messages_max = 100_000

    async def handle(self, batch: list[int]) -> None:
        pass


class Echo(Actor[Reply[int]]):
    async def handle(self, batch: list[Reply[int]]) -> None:
        for reply in batch:
            reply.set(1)


class Crashing(Actor[int]):
    async def handle(self, batch: list[int]) -> None:
        raise ValueError(f"on purpose: {batch}")


class Connection(Actor[bytes]):
    restart = Restart.TEMPORARY


async def mailbox_put(count: int) -> float:
    """put_nowait with a receiver that is waiting: one wake-up for all."""
    mailbox: Mailbox[int] = Mailbox(count)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.receive)
        await trio.testing.wait_all_tasks_blocked()
        put = mailbox.put_nowait
        began = perf_counter()
        for i in range(count):
            put(i)
        return perf_counter() - began


async def tell_in_batches(count: int, batch: int) -> float:
    """Tell `batch` messages, let the actor run, and again."""
    sink = Sink()
    async with running(sink):
        tell = sink.ref.tell
        began = perf_counter()
        for start in range(0, count, batch):
            for i in range(start, start + batch):
                tell(i)
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        return perf_counter() - began


async def channel(count: int) -> float:
    """A Trio memory channel, for comparison."""
    send, receive = trio.open_memory_channel[int](count)

    async def drain() -> None:
        async for _ in receive:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain)
        began = perf_counter()
        async with send:
            for i in range(count):
                await send.send(i)
    return perf_counter() - began


async def ask(count: int) -> float:
    """One request after the other, each waits for its answer."""
    echo = Echo()
    async with running(echo):
        began = perf_counter()
        for _ in range(count):
            await echo.ref.ask(lambda reply: reply, 1.0)
        return perf_counter() - began


async def children(count: int) -> float:
    """Start and stop temporary children: what a connection costs beside its bytes."""
    supervisor = Supervisor("root")
    async with running(supervisor):
        began = perf_counter()
        for i in range(count):
            supervisor.start_child_nowait(Connection(name=f"connection {i}"))
        await trio.testing.wait_all_tasks_blocked()
        return perf_counter() - began


async def restarts(count: int) -> float:
    """A crash, its log record (to nowhere), the decision, and the next incarnation."""
    actor = Crashing()
    now = Backoff(seconds_min=0.0, seconds_max=0.0)
    supervisor = Supervisor("root", [actor], restarts_max=count + 1, backoff=now)
    async with running(supervisor):
        began = perf_counter()
        for i in range(count):
            actor.ref.tell(i)
            while actor.statistics().restarts <= i:
                await trio.lowlevel.checkpoint()
        return perf_counter() - began


def measure(title: str, count: int, run: Callable[[], Awaitable[float]]) -> None:
    async def once() -> float:
        return await run()

    best = min(trio.run(once) for _ in range(RUNS))
    print(f"{title:<44} {best / count * 1e6:8.2f} µs  {count / best:12,.0f} /s")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    scale = 1 if parser.parse_args(argv).quick else 10
    logging.getLogger("triode.actors").setLevel(logging.CRITICAL)
    many, few = 10_000 * scale, 500 * scale
    measure("mailbox: put_nowait, receiver waiting", many, lambda: mailbox_put(many))
    measure("actor: message, in batches of 1", many, lambda: tell_in_batches(many, 1))
    measure("actor: message, in batches of 10", many, lambda: tell_in_batches(many, 10))
    measure("actor: message, in batches of 100", many, lambda: tell_in_batches(many, 100))
    measure("trio memory channel: message, buffered", many, lambda: channel(many))
    measure("actor: ask and answer", few, lambda: ask(few))
    measure("supervisor: start a temporary child", few, lambda: children(few))
    measure("supervisor: crash and restart", few, lambda: restarts(few))


if __name__ == "__main__":
    main()
