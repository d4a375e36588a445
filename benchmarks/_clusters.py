"""Clusters of three processes and the load on them, for the benchmarks of clusters.

The processes are those of the tests (`tests/cluster/_daemons.py`), so these benchmarks run as modules, from the
repository's root: `python -m benchmarks.cluster_failover`.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import grpc

from triode.rpc.pb.rpc_pb2 import PutRequest, RequestOp, TxnRequest

if TYPE_CHECKING:
    from ..tests.cluster._daemons import Cluster, Daemon
else:
    from tests.cluster._daemons import Cluster, Daemon

__all__ = ["Cluster", "Daemon", "Workload", "both", "fill", "h2load", "percentile"]

MEMBERS = 3
HEARTBEAT_MS, ELECTION_MS = 100, 1000  # the defaults of etcd and Triode
PUTS_PER_TXN = 100
TXNS_IN_FLIGHT = 8
VALUE = b"v" * 256


class Workload(NamedTuple):
    """`requests` calls of `method` over `connections` with `streams` in flight on each, or `seconds` of them."""

    name: str
    method: str
    message: bytes
    requests: int
    connections: int
    streams: int
    seconds: int = 0


def h2load(address: str, work: Workload) -> tuple[float, int]:
    """(requests a second, how many succeeded)."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(b"\0" + struct.pack(">I", len(work.message)) + work.message)
        body.flush()
        amount = ["-D", str(work.seconds)] if work.seconds else ["-n", str(work.requests)]
        words = ["h2load", "-t", "1", "-d", body.name, *amount]
        words += ["-c", str(work.connections), "-m", str(work.streams)]
        words += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        words.append(f"http://{address}/etcdserverpb.{work.method}")
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", done.stdout)
    good = re.search(r"(\d+) succeeded", done.stdout)
    return float(rate[1]) if rate else 0.0, int(good[1]) if good else 0


@contextmanager
def both(
    *flags: str, only: str = "", members: int = MEMBERS
) -> Iterator[list[tuple[str, Cluster]]]:
    """A cluster of ours and one of etcd, both running with default timings; ended with the block."""
    if not shutil.which("h2load"):
        sys.exit("h2load is missing: install the Debian package nghttp2-client")
    with tempfile.TemporaryDirectory() as name:
        clusters: list[tuple[str, Cluster]] = []
        try:
            for label, program in (("ours", "triode"), ("etcd", "etcd")):
                if only and only != label:
                    continue
                folder = Path(name, label)
                folder.mkdir()
                cluster = Cluster(
                    folder,
                    [program] * members,
                    *flags,
                    heartbeat_ms=HEARTBEAT_MS,
                    election_ms=ELECTION_MS,
                    quiet=True,
                )
                clusters.append((label, cluster))
                cluster.start()
                cluster.leader()
            yield clusters
        finally:
            for _, cluster in clusters:
                cluster.close()


def fill(daemon: Daemon, keys: int) -> None:
    """Put `keys` keys of 256 bytes, a hundred in each transaction."""
    pending: list[grpc.Future] = []
    for first in range(0, keys, PUTS_PER_TXN):
        puts = [
            RequestOp(request_put=PutRequest(key=b"key/%012d" % number, value=VALUE))
            for number in range(first, min(keys, first + PUTS_PER_TXN))
        ]
        pending.append(daemon.client.begin("KV/Txn", TxnRequest(success=puts), 120))
        if len(pending) >= TXNS_IN_FLIGHT:
            pending.pop(0).result()
    for future in pending:
        future.result()


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    return sorted(values)[max(0, -(-len(values) * int(share * 100) // 100) - 1)]
