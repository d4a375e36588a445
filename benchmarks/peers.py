"""What a message between members costs: `python -m benchmarks.peers`.

CPU time of this process, because that is what decides the speed of a cluster: the codec alone, then two links over
loopback in one process, so that both ends are in the number.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from triode.actors.peers.codec import (
    AppendDecoder,
    AppendEncoder,
    EntriesMemo,
    MessageDecoder,
    MessageEncoder,
)
from triode.raft.types import Entry, Message, MessageType

ENTRIES = 20_000
ENTRY_BYTES = 300
LEADER, FOLLOWER = 0xA2C3D4E5F6A7B8C9, 0xB2C3D4E5F6A7B8CA


def appends(batch: int) -> list[Message]:
    entries = [Entry(7, 100_000 + n, data=bytes(ENTRY_BYTES)) for n in range(ENTRIES)]
    return [
        Message(
            MessageType.APP, FOLLOWER, LEADER, 7, 7, entries[n].index - 1, entries[n : n + batch]
        )
        for n in range(0, ENTRIES, batch)
    ]


def best(work: Callable[[], object], count: int) -> float:
    """Microseconds of CPU for each of `count` things, the best of five."""
    times = []
    for _ in range(5):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) / count * 1e6


def codec(batch: int) -> None:
    sent = appends(batch)

    def encode(followers: int) -> list[bytes]:
        memo = EntriesMemo()
        encoders = [AppendEncoder(memo) for _ in range(followers)]
        return [encoder.encode(m) for m in sent for encoder in encoders]

    data = b"".join(encode(1))
    reads = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]

    def decode() -> None:
        decoder = AppendDecoder(FOLLOWER, LEADER)
        for read in reads:
            decoder.feed(read)

    print(
        f"appends of {batch:3}: µs per entry: encode {best(lambda: encode(1), ENTRIES):.2f},"
        f" for 4 followers {best(lambda: encode(4), ENTRIES):.2f}, decode {best(decode, ENTRIES):.2f}"
    )


def answers() -> None:
    message = Message(MessageType.APP_RESP, LEADER, FOLLOWER, 7, 0, 123_456)
    encode = MessageEncoder().encode
    frames = encode(message) * 1000
    decoder = MessageDecoder(LEADER, FOLLOWER)
    encoding = best(lambda: [encode(message) for _ in range(1000)], 1000)
    decoding = best(lambda: decoder.feed(frames), 1000)
    print(f"an answer: encode {encoding:.2f} µs, decode {decoding:.2f} µs")


def helpers() -> Any:
    path = Path(__file__).parents[1] / "tests" / "peers" / "_peers.py"
    spec = importlib.util.spec_from_file_location("benchmark_peers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def links(batch: int, window: int = 32) -> None:
    """Appends one way, an answer for each back; `window` of them are under way."""
    t = helpers()
    async with t.pair() as (a, of_a, b, of_b):
        sent = appends(batch)
        for message in sent:
            message.to, message.from_ = t.B, t.A
        answer = Message(MessageType.APP_RESP, t.A, t.B, 7, 0, 1)
        rest = iter(sent)
        done = trio.Event()

        def more(_: Message) -> None:
            message = next(rest, None)
            if message is not None:
                of_a.send([message])
            elif len(a.stepped) == len(sent):
                done.set()

        a.on_step = more
        b.on_step = lambda _: of_b.send([answer])
        began, wall = time.process_time(), time.perf_counter()
        for _ in range(window):
            more(answer)
        await done.wait()
        cpu, wall = time.process_time() - began, time.perf_counter() - wall
    print(
        f"links, appends of {batch:3}, {window} under way: {cpu / len(sent) * 1e6:.0f} µs per append and answer,"
        f" {cpu / ENTRIES * 1e6:.2f} µs per entry, both ends; {ENTRIES / wall:,.0f} entries/s"
    )


def main() -> None:
    for batch in (1, 10, 100):
        codec(batch)
    answers()
    for batch in (1, 10, 100):
        trio.run(links, batch)


if __name__ == "__main__":
    main()
