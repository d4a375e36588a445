"""A member joins a cluster of many keys while puts go on: what it costs the others, and how long it takes.

    python -m benchmarks.cluster_catchup [--keys 500000] [--side ours]

The log is cut soon (`--snapshot-count 1000`), so that the new member needs a snapshot. Puts of 256 bytes, ten
connections with ten in flight each, go to the leader the whole time, in slices of a second: the rate before the new
process starts, while it catches up, and afterwards. It has caught up when it has applied what the leader had
applied a moment before.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

import grpc

from triode.rpc.pb.rpc_pb2 import MemberAddRequest, PutRequest

from ._clusters import Cluster, Daemon, Workload, both, fill, h2load

SLICE_SECONDS = 1
BEFORE_SLICES = 8
CATCH_UP_SECONDS_MAX = 900
POLL_SECONDS = 0.1


def puts() -> Workload:
    """One slice of the load."""
    message = PutRequest(key=b"catch-up", value=b"v" * 256).SerializeToString()
    return Workload("put-10x10", "KV/Put", message, 0, 10, 10, SLICE_SECONDS)


class Load:
    """Puts on and on; `rates` has (when the slice began, puts a second)."""

    def __init__(self, daemon: Daemon) -> None:
        self.rates: list[tuple[float, float]] = []
        self._address = daemon.address
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def between(self, start: float, end: float) -> list[float]:
        """The rates of the slices that lie in that time, or begin there if none does."""
        inside = [rate for at, rate in self.rates if start <= at and at + SLICE_SECONDS <= end]
        return inside or [rate for at, rate in self.rates if start <= at <= end]

    def wait_slices(self, count: int) -> None:
        """Until so many more are done."""
        goal = len(self.rates) + count
        while len(self.rates) < goal:
            self._stopped.wait(POLL_SECONDS)

    def _run(self) -> None:
        work = puts()
        while not self._stopped.is_set():
            at = time.monotonic()
            rate, _ = h2load(self._address, work)
            self.rates.append((at, rate))


def caught_up(leader: Daemon, new: Daemon) -> bool:
    """Whether it has all that the leader had applied a moment ago."""
    goal = leader.client.status(30).raftAppliedIndex
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            if new.client.status(30).raftAppliedIndex >= goal:
                return True
        except grpc.RpcError:
            return False
    return False


def wait_caught_up(leader: Daemon, new: Daemon) -> None:
    """Until the new member has caught up; fails when it ends or takes too long."""
    never = threading.Event()
    end = time.monotonic() + CATCH_UP_SECONDS_MAX
    while not caught_up(leader, new):
        assert new.running, new.log()
        assert time.monotonic() < end, "it does not catch up"
        never.wait(POLL_SECONDS)


def join(name: str, cluster: Cluster) -> None:
    """Add a member under load, and print what happened."""
    leader = cluster.leader()
    load = Load(leader)
    try:
        load.wait_slices(BEFORE_SLICES)
        new = cluster.add_daemon("late")
        leader.client.call("Cluster/MemberAdd", MemberAddRequest(peerURLs=[new.peer_url]), 60)
        started = time.monotonic()
        new.spawn()
        wait_caught_up(leader, new)
        done = time.monotonic()
        load.wait_slices(BEFORE_SLICES // 2)
    finally:
        load.stop()
    before = statistics.median(load.between(0, started))
    during = load.between(started, done)
    mean = statistics.mean(during)
    after = statistics.median(load.between(done, time.monotonic()))
    cluster.settled(120)
    cluster.same_hashes()
    print(
        f"{name:6}caught up after {done - started:6.1f} s; puts/s before {before:6.0f},"
        f" during {mean:6.0f} ({mean / before:.2f}; worst second {min(during):.0f}), after {after:6.0f}",
        flush=True,
    )


def main() -> None:
    """One after the other, so that they do not disturb each other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--keys", type=int, default=500_000)
    parser.add_argument("--side", default="", choices=["", "ours", "etcd"])
    options = parser.parse_args()
    for side in ("ours", "etcd"):
        if options.side in ("", side):
            with both("--snapshot-count", "1000", only=side) as [(name, cluster)]:
                started = time.monotonic()
                fill(cluster.leader(), options.keys)
                cluster.settled(300)
                print(f"{name:6}{options.keys} keys in {time.monotonic() - started:.0f} s")
                join(name, cluster)


if __name__ == "__main__":
    main()
