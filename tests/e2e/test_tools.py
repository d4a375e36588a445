"""Tools that people run against a server for minutes: mirrors, load checks, bad luck on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

Launch = Callable[..., Any]
pytestmark = pytest.mark.etcd


def wait_for(wanted: str, *, say: Callable[[], str]) -> None:
    """Ask until it is answered so."""
    pause = threading.Event()
    for _ in range(200):
        if (said := say()) == wanted:
            return
        pause.wait(0.05)
    raise AssertionError(said)


@pytest.mark.parametrize("towards", ["etcd", "triode"])
def test_make_mirror(towards: str, launch_triode: Launch, launch_etcd: Launch) -> None:
    """Etcdctl copies what is there and follows what comes, to a second node or to etcd."""
    source = launch_triode()
    destination = launch_etcd() if towards == "etcd" else launch_triode(backend="memory")
    for number in range(3):
        source.ctl("put", f"m/{number}", f"old {number}")
    source.ctl("put", "other", "stays")
    words = [*source.ctl_words, "make-mirror", "--prefix", "m/", "--dest-prefix", "copy/"]
    with subprocess.Popen([*words, destination.address], stdout=subprocess.DEVNULL) as mirror:
        listing = "copy/0\nold 0\ncopy/1\nold 1\ncopy/2\nold 2\n"
        wait_for(listing, say=lambda: str(destination.ctl("get", "", "--prefix").stdout))
        source.ctl("put", "m/1", "new")
        source.ctl("txn", input="\nput m/3 both\ndel m/0\n\n\n")
        listing = "copy/1\nnew\ncopy/2\nold 2\ncopy/3\nboth\n"
        wait_for(listing, say=lambda: str(destination.ctl("get", "", "--prefix").stdout))
        mirror.send_signal(signal.SIGKILL)


def test_snapshot_restores_as_an_etcd(launch_triode: Launch, launch_etcd: Launch) -> None:
    """What `snapshot save` takes from Triode, real etcd starts from."""
    server = launch_triode()
    server.ctl("put", "a", "1")
    server.ctl("put", "a", "2")
    image = server.data_dir.with_name("image.db")
    restored = server.data_dir.with_name("restored")
    assert server.ctl("snapshot", "save", str(image)).returncode == 0
    done = server.ctl("snapshot", "restore", str(image), "--data-dir", str(restored))
    assert done.returncode == 0, done.stderr
    etcd = launch_etcd("--force-new-cluster", data_dir=restored)
    assert etcd.ctl("get", "a").stdout == "a\n2\n"
    assert etcd.ctl("get", "a", "--rev", "2").stdout == "a\n1\n"
    ours, theirs = (
        one.ctl("endpoint", "hashkv", "--rev", "3").stdout.split(", ")[1] for one in (server, etcd)
    )
    assert ours == theirs


@pytest.mark.parametrize("backend", ["etcd", "sqlite", "memory"])
def test_out_of_quota_and_back(backend: str, launch_triode: Launch, launch_etcd: Launch) -> None:
    """The drill of etcd's manual: the alarm, room by compaction and defragmentation, disarm."""
    quota = ("--quota-backend-bytes", str(8 << 20))
    server = launch_etcd(*quota) if backend == "etcd" else launch_triode(*quota, backend=backend)
    for number in range(30):
        done = server.ctl("put", f"q/{number}", input="x" * 1_000_000)
        if done.returncode:
            break
    assert done.stderr.endswith("Error: etcdserver: mvcc: database space exceeded\n")
    # bbolt's file grows in steps that depend on when it commits, so etcd may be full a little sooner; and the size is
    # that of the last commit, up to 100 ms ago, in which a quick machine puts some more
    assert (3 if backend == "etcd" else 5) <= number <= 25
    wait_for(
        "alarm:NOSPACE", say=lambda: server.ctl("alarm", "list").stdout.partition(" ")[2].strip()
    )
    assert server.ctl("put", "small", "1").returncode == 1
    assert server.ctl("endpoint", "health").returncode == 1
    assert server.ctl("get", "q/", "--prefix", "--keys-only").returncode == 0
    assert server.ctl("del", "q/", "--prefix").stdout == f"{number}\n"
    status = json.loads(server.ctl("endpoint", "status", "-w", "json").stdout)
    assert status[0]["Status"]["errors"]
    revision = str(status[0]["Status"]["header"]["revision"])
    assert server.ctl("compaction", revision, "--physical").returncode == 0
    assert server.ctl("defrag").returncode == 0
    assert "alarm:NOSPACE" in server.ctl("alarm", "disarm").stdout
    assert server.ctl("put", "small", "1").stdout == "OK\n"
    assert server.ctl("endpoint", "health").returncode == 0


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_clients_outlive_a_restart(how: str, launch_triode: Launch) -> None:
    """A watch misses nothing and doubles nothing, and a lease is kept, across a restart."""
    server = launch_triode()
    server.ctl("put", "seen", "before")
    lease = server.ctl("lease", "grant", "60").stdout.split()[1]
    server.ctl("put", "leased", "1", "--lease", lease)
    watch_words = [*server.ctl_words, "watch", "seen", "--rev", "1"]
    keep_words = [*server.ctl_words, "lease", "keep-alive", lease]
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with (
        subprocess.Popen(watch_words, **pipe) as watch,
        subprocess.Popen(keep_words, **pipe) as keep,
    ):
        try:
            assert watch.stdout is not None
            assert keep.stdout is not None
            assert [watch.stdout.readline() for _ in range(3)] == ["PUT\n", "seen\n", "before\n"]
            assert keep.stdout.readline() == f"lease {lease} keepalived with TTL(60)\n"
            server.stop() if how == "stop" else server.kill()
            server = launch_triode(data_dir=server.data_dir, port=server.port)
            server.ctl("put", "seen", "after")
            assert [watch.stdout.readline() for _ in range(3)] == ["PUT\n", "seen\n", "after\n"]
            assert keep.poll() is None
            assert server.ctl("get", "leased").stdout == "leased\n1\n"
        finally:
            watch.kill()
            keep.kill()


def test_watch_progress(launch_triode: Launch) -> None:
    """A quiet watch is told the revision it has seen everything up to, again and again."""
    server = launch_triode("--watch-progress-notify-interval", "100ms", backend="memory")
    server.ctl("put", "elsewhere", "1")
    with subprocess.Popen(
        [*server.ctl_words, "watch", "quiet", "--progress-notify"],
        stdout=subprocess.PIPE,
        text=True,
    ) as watch:
        assert watch.stdout is not None
        assert [watch.stdout.readline() for _ in range(2)] == ["progress notify: 2\n"] * 2
        server.ctl("put", "elsewhere", "2")
        while (line := watch.stdout.readline()) == "progress notify: 2\n":
            pass
        assert line == "progress notify: 3\n"
        watch.kill()


@pytest.mark.long
@pytest.mark.parametrize("load", ["s"])
def test_check_perf(load: str, launch_triode: Launch) -> None:
    """Etcdctl's own verdict on the throughput and the latency of a durable node."""
    server = launch_triode()
    done = subprocess.run(
        [*server.ctl_words, "check", "perf", "--load", load, "--command-timeout", "70s"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:]
    assert "PASS: Throughput is" in done.stdout
    assert done.stdout.splitlines()[-1] == "PASS"
