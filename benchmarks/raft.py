"""What consensus costs: entries through a single voter, through three nodes, and their encoding.

    python -m benchmarks.raft [--quick]

Processor time in microseconds per entry, best of several runs; entries of 256 bytes, storage in memory.
An entry is proposed, stored, committed, handed out to be applied, and acknowledged. With three nodes, all
of them and their messages (not encoded) are in the figure.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from functools import partial
from time import process_time

from triode.raft import Config, ConfState, MemoryStorage, RawNode, Snapshot, SnapshotMetadata
from triode.raft.codec import decode_entry, encode_entries
from triode.raft.types import Entry, Message

VALUE = b"v" * 256
RUNS = 5
BATCHES = (1, 10, 100, 1000)


class Node:
    """A node with storage in memory and an application that counts."""

    def __init__(self, id: int, voters: tuple[int, ...]) -> None:
        self.storage = MemoryStorage()
        self.storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState(voters))))
        self.node = RawNode(
            Config(id=id, storage=self.storage, random_below=lambda _: 0, check_quorum=True)
        )
        self.applied = 0

    def work(self) -> list[Message]:
        messages: list[Message] = []
        while self.node.has_ready():
            ready = self.node.ready()
            if ready.hard_state is not None:
                self.storage.set_hard_state(ready.hard_state)
            self.storage.append(ready.entries)
            messages += ready.messages
            self.applied += len(ready.committed_entries)
            self.node.advance(ready)
        return messages

    def forget(self) -> None:
        """Keep the log as short as a server does."""
        self.storage.compact(self.node.basic_status().applied)


class Cluster:
    """Nodes in one process; node 1 leads."""

    def __init__(self, size: int) -> None:
        voters = tuple(range(1, size + 1))
        self.nodes = {voter: Node(voter, voters) for voter in voters}
        self.leader = self.nodes[1].node
        self.leader.campaign()
        self.run()

    def run(self) -> None:
        while sent := [m for node in self.nodes.values() for m in node.work()]:
            for m in sent:
                self.nodes[m.to].node.step(m)

    def propose(self, batch: list[bytes], rounds: int) -> None:
        for _ in range(rounds):
            self.leader.propose_batch(batch)
            self.run()

    def forget(self) -> None:
        for node in self.nodes.values():
            node.forget()


def best(work: Callable[[], object], cleanup: Callable[[], object] = lambda: None) -> float:
    """Seconds of the fastest run, with the collector as it is in a server."""
    times = []
    for _ in range(RUNS):
        gc.collect()
        began = process_time()
        work()
        times.append(process_time() - began)
        cleanup()
    return min(times)


def report(what: str, entries: int, seconds: float) -> None:
    micro = seconds / entries * 1e6
    print(f"{what:36} {micro:8.2f} µs per entry {1e6 / micro:12,.0f} per second")


def main(arguments: list[str] | None = None) -> None:
    """Run all parts and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    options = parser.parse_args(arguments)
    total = 5_000 if options.quick else 50_000
    for size in (1, 3):
        cluster = Cluster(size)
        for count in BATCHES:
            batch, rounds = [VALUE] * count, max(1, total // count // size)
            seconds = best(partial(cluster.propose, batch, rounds), cluster.forget)
            title = "single voter" if size == 1 else f"{size} nodes"
            report(f"{title}, batches of {count}", count * rounds, seconds)
    entries = [Entry(3, index, data=VALUE) for index in range(70_000, 70_000 + total)]
    report("encode, batches of 1000", total, best(lambda: _encode(entries)))
    encoded = encode_entries(entries)
    report("decode", total, best(lambda: [decode_entry(raw) for raw in encoded]))


def _encode(entries: list[Entry]) -> None:
    for at in range(0, len(entries), 1000):
        encode_entries(entries[at : at + 1000])


if __name__ == "__main__":
    main()
