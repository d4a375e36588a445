"""How long nobody can write when the leader dies, and when it hands over; ours and etcd's, in turn.

    python -m benchmarks.cluster_failover [--kills 50] [--handovers 10] [--side ours]

Default timings: a heartbeat each 100 ms, an election after 1000 ms. After each `kill -9` of the leader, clients of the
other members try to write, again and again, until one of them is answered: the time from the kill to that answer.
Then the member comes back, and has caught up before the next kill. For planned hand-overs the leader gets SIGTERM
while a client writes on and on, and goes to the next member when it is refused: the longest time between two
answers, and how many requests no member answered.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from itertools import cycle
from pathlib import Path

import grpc

from ._clusters import Cluster, Daemon, both, percentile

TRY_SECONDS = 0.25  # a write that was forwarded to a dead leader is never answered
GIVE_UP_SECONDS = 30
HANDOVER_CALL_SECONDS = 5.0
BEFORE_SECONDS, AFTER_SECONDS = 0.5, 2.0  # how long writes go on around a hand-over


def first_write(daemons: list[Daemon], since: float) -> float:
    """Seconds from `since` until one of these members has answered a write."""
    done = threading.Event()
    found: list[float] = []

    def attempt(daemon: Daemon) -> None:
        while not done.is_set() and time.monotonic() - since < GIVE_UP_SECONDS:
            try:
                daemon.client.put(b"failover", b"x", TRY_SECONDS)
            except grpc.RpcError:
                done.wait(0.005)
                continue
            found.append(time.monotonic() - since)
            done.set()

    threads = [threading.Thread(target=attempt, args=(daemon,)) for daemon in daemons]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return min(found, default=float("inf"))


def kill_leader(cluster: Cluster) -> float:
    """One kill, and everybody back; returns the seconds without writes."""
    leader = cluster.leader()
    others = [one for one in cluster.members if one is not leader]
    for one in others:
        one.client.put(b"before", b"x")  # its connection is there
    started = time.monotonic()
    leader.kill()
    seconds = first_write(others, started)
    leader.start()
    cluster.leader()
    cluster.settled()
    return seconds


class Writer:
    """A client that writes on and on, and notes when it was answered."""

    def __init__(self, cluster: Cluster) -> None:
        self.answers = [time.monotonic()]
        self.failed = self.retried = 0
        self._clients = [one.client for one in cluster.members]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def gap(self) -> float:
        """The longest time without an answer, in seconds."""
        return max(b - a for a, b in zip(self.answers, self.answers[1:], strict=False))

    def _run(self) -> None:
        clients = cycle(self._clients)
        client = next(clients)
        while not self._stopped.is_set():
            for tries in range(len(self._clients)):
                try:
                    client.put(b"handover", b"x", HANDOVER_CALL_SECONDS)
                except grpc.RpcError:
                    client = next(clients)
                    continue
                self.retried += tries > 0
                self.answers.append(time.monotonic())
                break
            else:
                self.failed += 1


def hand_over(cluster: Cluster) -> tuple[float, int, int]:
    """One SIGTERM to the leader under load: (longest gap in seconds, failed requests, retried ones)."""
    leader = cluster.leader()
    cluster.members.sort(key=lambda one: one is not leader)  # the writer begins with the leader
    never = threading.Event()
    writer = Writer(cluster)
    never.wait(BEFORE_SECONDS)
    leader.stop(60)
    never.wait(AFTER_SECONDS)
    writer.stop()
    leader.start()
    cluster.leader()
    cluster.settled()
    return writer.gap(), writer.failed, writer.retried


def report(name: str, what: str, seconds: list[float]) -> None:
    """One line."""
    print(
        f"{name:6}{what:10} n {len(seconds):3}  median {statistics.median(seconds):6.2f} s"
        f"  p99 {percentile(seconds, 0.99):6.2f} s  max {max(seconds):6.2f} s",
        flush=True,
    )


def main() -> None:
    """Kills and hand-overs in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--handovers", type=int, default=10)
    parser.add_argument("--side", default="", choices=["", "ours", "etcd"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with both(only=options.side) as clusters:
        kills: dict[str, list[float]] = {name: [] for name, _ in clusters}
        handovers: dict[str, list[tuple[float, int, int]]] = {name: [] for name, _ in clusters}
        for _ in range(options.kills):
            for name, cluster in clusters:
                kills[name].append(kill_leader(cluster))
        for name, seconds in kills.items():
            if seconds:
                report(name, "kill", seconds)
        for _ in range(options.handovers):
            for name, cluster in clusters:
                handovers[name].append(hand_over(cluster))
        for name, found in handovers.items():
            if found:
                report(name, "hand-over", [gap for gap, _, _ in found])
                failed, retried = sum(n for _, n, _ in found), sum(n for _, _, n in found)
                print(f"{name:6}requests that failed {failed}, that another member took {retried}")
    if options.json:
        options.json.write_text(json.dumps({"kills": kills, "handovers": handovers}, indent=1))


if __name__ == "__main__":
    main()
