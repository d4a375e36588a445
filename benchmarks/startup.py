"""From the start of a process to its first put served: ours and the real etcd's.

    python benchmarks/startup.py [--runs 7] [--backend sqlite] [--compile]

Each run begins with an empty data directory. The client is a socket that asks again every few milliseconds, so
that it costs nothing. Ours runs from bytecode, as it does once it is installed: it is kept in a directory of
this benchmark, and the first start, which makes it, is not counted. `--compile` measures without.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from triode.rpc.grpc import GrpcClient
from triode.rpc.grpc.client import Message
from triode.rpc.pb.rpc_pb2 import PutRequest

BIN = Path(sys.executable).parent
PUT = PutRequest(key=b"first", value=b"put").SerializeToString()
DONT_WRITE = "PYTHONDONTWRITEBYTECODE"
POLL_SECONDS = 0.002
READY_SECONDS_MAX = 60


class Start(NamedTuple):
    """What one start took."""

    wall_seconds: float
    cpu_seconds: float


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ours(directory: Path, port: int, backend: str) -> list[str]:
    """The command of a node of this tree."""
    url = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "triode", "--data-dir", str(directory / "ours")]
    return [*words, "--backend", backend, "--listen-client-urls", url, "--log-level", "error"]


def etcd(directory: Path, port: int, _backend: str) -> list[str]:
    """The command of the real one."""
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    words = [str(BIN / "etcd"), "--data-dir", str(directory / "etcd"), "--log-level", "error"]
    words += ["--listen-client-urls", client, "--advertise-client-urls", client]
    words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    return [*words, "--initial-cluster", f"default={peer}"]


def put(port: int) -> bool:
    """Whether a put is answered."""
    client = GrpcClient(authority="127.0.0.1")
    client.call("/etcdserverpb.KV/Put", PUT)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(client.data_to_send())
            while data := sock.recv(65536):
                if any(isinstance(event, Message) for event in client.receive(data)):
                    return True
    except OSError:
        pass
    return False


def variables(bytecode: Path, *, keep: bool) -> dict[str, str]:
    """The environment, with Python's bytecode in a place of its own, or nowhere."""
    given = {name: value for name, value in os.environ.items() if name != DONT_WRITE}
    return given | ({"PYTHONPYCACHEPREFIX": str(bytecode)} if keep else {DONT_WRITE: "1"})


def measure(words: list[str], port: int, env: dict[str, str]) -> Start:
    """Start it, wait for the first put, end it."""
    started = time.perf_counter()
    null = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=null, stderr=null, env=env)
    try:
        while not put(port):
            if time.perf_counter() - started > READY_SECONDS_MAX or process.poll() is not None:
                sys.exit(f"no put was served by {words}")
            time.sleep(POLL_SECONDS)
        wall = time.perf_counter() - started
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return Start(wall, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Runs in turn, so that a change of the machine's speed falls on both."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--backend", default="sqlite")
    parser.add_argument("--compile", action="store_true", help="without bytecode")
    options = parser.parse_args()
    commands = {"ours": ours, "etcd": etcd}
    starts: dict[str, list[Start]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as bytecode:
        env = variables(Path(bytecode), keep=not options.compile)
        for run in range(options.runs + 1):
            for name, command in commands.items():
                with tempfile.TemporaryDirectory() as directory:
                    port = free_port()
                    start = measure(command(Path(directory), port, options.backend), port, env)
                if run:
                    starts[name].append(start)
    for name, runs in starts.items():
        wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
        print(f"{name}: first put after {wall:.2f} s (median), {cpu:.2f} s of CPU")
    ratios = [
        mine.wall_seconds / real.wall_seconds for mine, real in zip(*starts.values(), strict=True)
    ]
    print(f"ours / etcd: {statistics.median(ratios):.2f} (median of {len(ratios)})")


if __name__ == "__main__":
    main()
