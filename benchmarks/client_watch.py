"""How many events a second one watch takes: in process, and over a socket.

    python -m benchmarks.client_watch [--quick]

"History" reads what is there already; "live" follows a writer, who has the same processor: its figure is
that of both. "Client alone" is what the client adds: responses that are in memory, to events.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import trio

import triode
from triode.client.client import opened
from triode.rpc.pb.kv_pb2 import Event as EventMessage
from triode.rpc.pb.kv_pb2 import KeyValue
from triode.rpc.pb.rpc_pb2 import ResponseHeader, WatchResponse

VALUE = b"v" * 100
ROUNDS = 3
WRITERS = 100


class Replay:
    """A channel to a server that has all responses at hand."""

    endpoints = ("memory",)
    endpoint = "memory"

    def __init__(self, count: int, in_one: int) -> None:
        self._responses = [encoded(start, in_one) for start in range(2, count + 2, in_one)]
        self._asked = trio.Event()
        self._left: Iterator[bytes] = iter(())

    async def unary(self, *_: Any, **__: Any) -> bytes:
        raise AssertionError("watches need none")

    @asynccontextmanager
    async def stream(self, *_: Any, **__: Any) -> AsyncIterator[Replay]:
        self._asked = trio.Event()
        created = WatchResponse(header=ResponseHeader(revision=1), created=True)
        self._left = iter([created.SerializeToString(), *self._responses])
        yield self

    async def send(self, _message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._asked.set()

    async def half_close(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes | None:
        await self._asked.wait()
        found = next(self._left, None)
        if found is None:
            await trio.sleep_forever()
        return found


def encoded(start: int, count: int) -> bytes:
    events = [
        EventMessage(kv=KeyValue(key=b"k/%d" % at, mod_revision=at, value=VALUE, version=1))
        for at in range(start, start + count)
    ]
    header = ResponseHeader(revision=start + count)
    return WatchResponse(header=header, events=events).SerializeToString()


async def consume(watch: Any, count: int) -> float:
    """Take so many events, and look at each; events a second."""
    begin = time.perf_counter()
    size = 0
    async for event in watch:
        if event.is_put:
            size += len(event.key) + len(event.value)
        count -= 1
        if not count:
            break
    return time.perf_counter() - begin


def report(name: str, count: int, seconds: list[float]) -> None:
    rates = sorted(count / each for each in seconds)
    print(f"{name:<44} {rates[len(rates) // 2]:>10,.0f} events/s  (best {rates[-1]:,.0f})")


async def client_alone(count: int) -> None:
    for in_one in (1, 10, 1000):
        seconds = []
        for _ in range(ROUNDS):
            async with opened(Replay(count, in_one)) as client, client.watch("k") as watch:
                seconds.append(await consume(watch, count))
        report(f"client alone, {in_one} in a response", count, seconds)


async def write(client: triode.Client, count: int) -> None:
    async def some(number: int) -> None:
        for _ in range(count // WRITERS):
            await client.put(b"k/%d" % number, VALUE)

    async with trio.open_nursery() as nursery:
        for number in range(WRITERS):
            nursery.start_soon(some, number)


async def against(name: str, client: triode.Client, count: int) -> None:
    keys = triode.prefix("k/")
    await write(client, count)
    seconds = []
    for _ in range(ROUNDS):
        async with client.watch(keys, start_revision=2) as watch:
            seconds.append(await consume(watch, count))
    report(f"{name}, history", count, seconds)
    async with trio.open_nursery() as nursery, client.watch(keys) as watch:
        nursery.start_soon(write, client, count)
        report(f"{name}, live, {WRITERS} writers", count, [await consume(watch, count)])


async def main(count: int) -> None:
    await client_alone(count)
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with triode.open_node(config) as node, node.client() as client:
        await against("in process", client, count)
    async with triode.open_node(config) as node, triode.connect(node.client_urls[0]) as client:
        await against("a socket, node in the same process", client, count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a fifth of the events")
    trio.run(main, 20_000 if parser.parse_args().quick else 100_000)
