"""Three processes of ours against three of etcd: the same load on both, in turn, in one run.

    python -m benchmarks.cluster_side_by_side [--rounds 3] [--only put-10x100,range-10x100]

Workloads are named REQUEST-CONNECTIONSxSTREAMS; those with `@follower` go to a member that does not lead. All six
processes, and h2load, share the machine, so a ratio says how much a cluster costs as a whole; a ratio above 1 means
that ours is faster. CPU is that of the three processes together, per request.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

from triode.rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    PutRequest,
    RangeRequest,
)

from ._clusters import Cluster, Daemon, Workload, both, h2load

KEY, VALUE, LEASE = b"bench-ky", b"v" * 256, 7
FOLLOWER = "@follower"
GRANT_SECONDS_MAX = 10


def workloads() -> list[Workload]:
    """What is measured."""
    put = PutRequest(key=KEY, value=VALUE).SerializeToString()
    read = RangeRequest(key=KEY).SerializeToString()
    local = RangeRequest(key=KEY, serializable=True).SerializeToString()
    alive = LeaseKeepAliveRequest(ID=LEASE).SerializeToString()
    return [
        Workload("put-1x1", "KV/Put", put, 2_000, 1, 1),
        Workload("put-10x10", "KV/Put", put, 20_000, 10, 10),
        Workload("put-10x100", "KV/Put", put, 40_000, 10, 100),
        Workload("range-1x1", "KV/Range", read, 2_000, 1, 1),
        Workload("range-10x10", "KV/Range", read, 20_000, 10, 10),
        Workload("range-10x100", "KV/Range", read, 40_000, 10, 100),
        Workload("put-10x100" + FOLLOWER, "KV/Put", put, 40_000, 10, 100),
        Workload("range-1x1" + FOLLOWER, "KV/Range", read, 2_000, 1, 1),
        Workload("range-10x100" + FOLLOWER, "KV/Range", read, 40_000, 10, 100),
        Workload("serializable-10x100" + FOLLOWER, "KV/Range", local, 40_000, 10, 100),
        Workload("keep-alive-1x1", "Lease/LeaseKeepAlive", alive, 2_000, 1, 1),
        Workload("keep-alive-10x10", "Lease/LeaseKeepAlive", alive, 10_000, 10, 10),
        Workload("keep-alive-10x100", "Lease/LeaseKeepAlive", alive, 20_000, 10, 100),
        Workload("keep-alive-10x10" + FOLLOWER, "Lease/LeaseKeepAlive", alive, 2_000, 10, 10),
    ]


def cpu_seconds(cluster: Cluster) -> float:
    """What its processes have used so far."""
    total = 0
    for one in cluster.members:
        assert one.process is not None
        words = Path(f"/proc/{one.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(words[11]) + int(words[12])
    return total / os.sysconf("SC_CLK_TCK")


def target(cluster: Cluster, work: Workload) -> Daemon:
    """The leader, or a follower."""
    return cluster.followers()[0] if work.name.endswith(FOLLOWER) else cluster.leader()


def measure(work: Workload, clusters: list[tuple[str, Cluster]], rounds: int) -> dict[str, object]:
    """Rounds in turn, so that a change of the machine's speed falls on both."""
    rates: dict[str, list[float]] = {name: [] for name, _ in clusters}
    cpu = dict.fromkeys(rates, 0.0)
    for _ in range(rounds):
        for name, cluster in clusters:
            before = cpu_seconds(cluster)
            rate, good = h2load(target(cluster, work).address, work)
            cpu[name] += cpu_seconds(cluster) - before
            rates[name].append(rate)
            if good != work.requests:
                print(f"  {name}: {work.requests - good} of {work.requests} failed")
    ours, theirs = rates.get("ours", []), rates.get("etcd", [])
    ratios = [a / b for a, b in zip(ours, theirs, strict=False) if b]
    return {
        "workload": work.name,
        "rates": {name: statistics.median(found) for name, found in rates.items()},
        "ratio": statistics.median(ratios) if ratios else 0.0,
        "ratios": ratios,
        "cpu_us": {name: used * 1e6 / (work.requests * rounds) for name, used in cpu.items()},
    }


def main() -> None:
    """Print a table, and JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--side", default="", choices=["", "ours", "etcd"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    figures = []
    with both(only=options.side) as clusters:
        names = [name for name, _ in clusters]
        print(f"{'workload':30}", *(f"{name + ' req/s':>12}" for name in names), f"{'ratio':>7}")
        for _, cluster in clusters:
            client = cluster.leader().client
            client.put(KEY, VALUE)
            grant = LeaseGrantRequest(ID=LEASE, TTL=100_000)
            client.begin("Lease/LeaseGrant", grant, GRANT_SECONDS_MAX).result()
        for work in workloads():
            if only and work.name not in only:
                continue
            row = measure(work, clusters, options.rounds)
            figures.append(row)
            rates, cpu = row["rates"], row["cpu_us"]
            assert isinstance(rates, dict)
            assert isinstance(cpu, dict)
            print(
                f"{work.name:30}",
                *(f"{rates[name]:12.0f}" for name in names),
                f"{row['ratio']:7.2f}",
                "  CPU µs per request:",
                ", ".join(f"{name} {cpu[name]:.0f}" for name in names),
                flush=True,
            )
        for _, cluster in clusters:
            cluster.same_hashes()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
