"""Puts a second through our client, python-etcd3 and aetcd, against the same real etcd in one run.

    python benchmarks/client.py [--quick] [--durable] [--one-core] [--venvs DIR] [--runs 3]

Two loads: one put after the other, and 100 tasks (threads, for python-etcd3) that each put one after the other. The
server is etcd without fsync on a file system in memory, so that it, and not the disk, is what clients wait for;
`--durable` adds one with fsync. Each client is a process of its own; the others are installed into virtual
environments below `--venvs`, which are kept. CPU is the client's own, in microseconds per put: what is left of the
time is the server's, and on few cores the server is what all clients wait for; puts a second for each core of CPU that
a client uses tell them apart even then. `a bare socket` is no client: our codec around a blocking socket, without tasks,
errors, deadlines or retries. It says what there is to reach. `--one-core` puts clients and server on one core: then
no core sleeps between two puts and has to be woken, which is most of what a lone put waits for on a virtual machine.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TASKS = 100

COMMON = """
import json, sys, time, resource
host, port, sequential, pipelined, tasks = sys.argv[1], *map(int, sys.argv[2:])
VALUE = b"x" * 256
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
class Clock:
    def __init__(self, count): self.count = count
    def __enter__(self): self.cpu, self.wall = cpu(), time.perf_counter()
    def __exit__(self, *_):
        wall, used = time.perf_counter() - self.wall, cpu() - self.cpu
        self.result = [self.count / wall, used / self.count * 1e6]
one, many = Clock(sequential), Clock(pipelined)
"""

OURS = """
import trio, triode
async def main():
    async with triode.connect(f"{host}:{port}") as client:
        for i in range(200): await client.put("warm", VALUE)
        with one:
            for i in range(sequential): await client.put(b"key/%d" % i, VALUE)
        async def task(t):
            for i in range(pipelined // tasks): await client.put(b"key/%d/%d" % (t, i), VALUE)
        with many:
            async with trio.open_nursery() as nursery:
                for t in range(tasks): nursery.start_soon(task, t)
trio.run(main)
"""

ETCD3 = """
import etcd3, threading
client = etcd3.client(host=host, port=port)
for i in range(200): client.put("warm", VALUE)
with one:
    for i in range(sequential): client.put(b"key/%d" % i, VALUE)
def task(t):
    for i in range(pipelined // tasks): client.put(b"key/%d/%d" % (t, i), VALUE)
threads = [threading.Thread(target=task, args=(t,)) for t in range(tasks)]
with many:
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""

AETCD = """
import asyncio, aetcd
async def main():
    async with aetcd.Client(host=host, port=port) as client:
        for i in range(200): await client.put(b"warm", VALUE)
        with one:
            for i in range(sequential): await client.put(b"key/%d" % i, VALUE)
        async def task(t):
            for i in range(pipelined // tasks): await client.put(b"key/%d/%d" % (t, i), VALUE)
        with many:
            await asyncio.gather(*(task(t) for t in range(tasks)))
asyncio.run(main())
"""

FLOOR = """
import socket
from triode.rpc.grpc.client import Answered, Finished, GrpcClient
from triode.rpc.h2.limits import Limits
from triode.rpc.pb.rpc_pb2 import PutRequest
sock = socket.create_connection((host, port))
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
limits = Limits(connection_window_bytes=16 << 20, nuisance_burst=1 << 60)
session = GrpcClient(authority="floor", limits=limits, answered=True)
def put(key): session.call("/etcdserverpb.KV/Put", PutRequest(key=key, value=VALUE).SerializeToString())
def answers():
    sock.sendall(session.data_to_send())
    events = session.receive(sock.recv(65536))
    return sum(type(event) in (Answered, Finished) for event in events)
def run(count, width):
    started = done = 0
    while done < count:
        while started < min(count, done + width):
            put(b"key/%d" % started)
            started += 1
        done += answers()
run(200, 1)
with one: run(sequential, 1)
with many: run(pipelined, tasks)
"""

PRINT = "\nprint(json.dumps([one.result, many.result]))\n"
CLIENTS = {
    "ours": (OURS, ()),
    "a bare socket": (FLOOR, ()),
    "python-etcd3": (ETCD3, ("etcd3==0.12.0", "protobuf<4")),
    "aetcd": (AETCD, ("aetcd==1.0.0",)),
}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def etcd(directory: Path, *, durable: bool) -> Iterator[int]:
    """The real etcd; yields its port."""
    port = free_port()
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    words = [str(BIN / "etcd"), "--data-dir", str(directory / "etcd"), "--log-level", "error"]
    words += ["--listen-client-urls", client, "--advertise-client-urls", client]
    words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    words += ["--initial-cluster", f"default={peer}"]
    words += [] if durable else ["--unsafe-no-fsync"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(500):
                with socket.socket() as sock:
                    if sock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            time.sleep(0.5)
            yield port
        finally:
            process.kill()


def interpreter(name: str, packages: tuple[str, ...], venvs: Path) -> Path:
    """The Python that has a client installed; made when it is not there."""
    if not packages:
        return Path(sys.executable)
    home = venvs / name
    python = home / "bin" / "python"
    if not python.exists():
        print(f"installing {name} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "-q", "install", *packages], check=True)
    return python


def run(python: Path, program: str, port: int, sizes: tuple[int, int]) -> list[list[float]]:
    """One client's results: [puts/s, CPU µs per put] of either load."""
    words = [str(python), "-c", COMMON + program + PRINT, "127.0.0.1", str(port)]
    words += [str(size) for size in sizes] + [str(TASKS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(port: int, venvs: Path, runs: int, sizes: tuple[int, int]) -> None:
    """All clients in turn, several times; prints medians, and ours against the others."""
    found: dict[str, list[list[list[float]]]] = {name: [] for name in CLIENTS}
    for _ in range(runs):
        for name, (program, packages) in CLIENTS.items():
            found[name].append(run(interpreter(name, packages, venvs), program, port, sizes))
    medians = {
        name: [[statistics.median(r[load][i] for r in results) for i in (0, 1)] for load in (0, 1)]
        for name, results in found.items()
    }
    for load, title in enumerate(("one after the other", f"{TASKS} tasks")):
        print(f"  {title}:")
        for name, median in medians.items():
            rate, cpu = median[load]
            ratio = medians["ours"][load][0] / rate
            more = "" if name == "ours" else f"   ours is {ratio:.1f} times that"
            core = f"{cpu:5.0f} µs CPU a put: {1e6 / cpu:7,.0f}/s a core"
            print(f"    {name:14} {rate:9,.0f} puts/s   {core}{more}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--durable", action="store_true", help="a server with fsync, too")
    parser.add_argument(
        "--one-core", action="store_true", help="clients and server share one: nobody wakes another"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--venvs", type=Path, default=Path(tempfile.gettempdir()) / "triode-benchmark-venvs"
    )
    wanted = parser.parse_args()
    if wanted.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sizes = (1000, 5000) if wanted.quick else (5000, 30_000)
    runs = 1 if wanted.quick else wanted.runs
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112
    servers = [("etcd without fsync, in memory", False, memory)]
    if wanted.durable:
        servers.append(("etcd", True, None))
    for title, durable, where in servers:
        with (
            tempfile.TemporaryDirectory(dir=where) as directory,
            etcd(Path(directory), durable=durable) as port,
        ):
            print(title)
            measure(port, wanted.venvs, runs, sizes)


if __name__ == "__main__":
    main()
