"""One cluster repeats what happens in another."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import triode
from triode.cli.common.flags import FlagValues, parse
from triode.cli.ctl.commands import make_mirror


@pytest.fixture
def server(shared_triode: Any) -> Any:
    """The source. The destination is etcd. Leases of earlier tests end now, so that its revision stands still."""
    for lease in shared_triode.ctl("lease", "list").stdout.splitlines()[1:]:
        shared_triode.ctl("lease", "revoke", lease)
    return shared_triode


def revision_of(ctl: Callable[..., Any]) -> int:
    """The source's revision."""
    found = re.search(r'"Revision" : (\d+)', ctl("get", "none", "-w", "fields").out)
    assert found
    return int(found[1])


def pairs(server: Any, prefix: str = "") -> dict[str, str]:
    lines = server.ctl("get", "--prefix", prefix).stdout.splitlines()
    return dict(zip(lines[::2], lines[1::2], strict=True))


def wait_for(server: Any, expected: dict[str, str], prefix: str = "") -> None:
    """Until the mirror has it; the test's timeout ends it otherwise."""
    for _ in range(100):
        if (found := pairs(server, prefix)) == expected:
            return
    assert found == expected


def test_what_is_there_and_what_comes(
    server: Any, shared_etcd: Any, start: Callable[..., Any], ctl: Callable[..., Any]
) -> None:
    """From Triode to etcd: copies, then puts, deletions and transactions, until Ctrl-C."""
    for number in range(3):
        ctl("put", f"m0/a{number}", f"v{number}")
    flags = ("--prefix=m0/", "--dest-prefix=m1/", "--max-txn-ops=2")
    mirror = start("make-mirror", *flags, shared_etcd.address)
    wait_for(shared_etcd, {f"m1/a{n}": f"v{n}" for n in range(3)}, "m1/")
    ctl("put", "m0/a1", "new")
    ctl("del", "m0/a0")
    ctl("del", "--prefix", "m0/a")
    for number in range(5):
        ctl("put", f"m0/b{number}", "w")
    wait_for(shared_etcd, {f"m1/b{n}": "w" for n in range(5)}, "m1/")
    mirror.signal(signal.SIGINT)
    done = mirror.end()
    assert (done.code, done.out) == (5, "")
    # three copies, a put, a deletion, two deletions in one revision, five puts
    revision = revision_of(ctl)
    assert done.err == f"Error: interrupted; 12 changes mirrored, up to revision {revision}\n"


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (("--prefix", "p/"), "p/k"),
        (("--prefix", "p/", "--dest-prefix", "q/"), "q/k"),
        (("--prefix", "p/", "--no-dest-prefix"), "k"),
        (("--prefix", "p/", "--rev", "1"), "p/k"),
        (("--prefix", "p/", "--rev", "PRESENT"), "p/k"),
    ],
    ids=str,
)
def test_where_keys_go(
    server: Any,
    shared_etcd: Any,
    start: Callable[..., Any],
    ctl: Callable[..., Any],
    flags: tuple[str, ...],
    name: str,
) -> None:
    """With `--rev` the prefix stays, too: etcdctl drops it then."""
    shared_etcd.ctl("del", "--prefix", "")
    ctl("put", "other", "v")
    ctl("put", "p/k", "v")
    words = [str(revision_of(ctl)) if word == "PRESENT" else word for word in flags]
    mirror = start("make-mirror", *words, shared_etcd.address)
    wait_for(shared_etcd, {name: "v"})
    mirror.signal(signal.SIGTERM)
    assert mirror.end().code == 5


def test_the_total_is_told(
    server: Any, shared_etcd: Any, start: Callable[..., Any], ctl: Callable[..., Any]
) -> None:
    """Every 30 seconds; here sooner."""
    ctl("put", "total/k", "v")
    program = (
        "from triode.cli.ctl.commands import make_mirror; from triode.cli.ctl.main import main;"
        " make_mirror.TOTALS_SECONDS = 0.5; main()"
    )
    mirror = start("make-mirror", "--prefix=total/", shared_etcd.address, program=program)
    assert mirror.line() in ("0", "1")
    assert mirror.line() == "1"
    mirror.signal(signal.SIGTERM)
    mirror.end()


def test_on_a_terminal_it_is_shown(
    server: Any, shared_etcd: Any, terminal: Callable[..., Any], ctl: Callable[..., Any]
) -> None:
    ctl("put", "s/k", "v")
    screen = terminal(
        "--endpoints", server.address, "make-mirror", "--prefix=s/", shared_etcd.address
    )
    screen.until("1 changes mirrored, revision ")
    screen.type("\x03")
    screen.until(f"Error: interrupted; 1 changes mirrored, up to revision {revision_of(ctl)}")
    assert screen.end()[0] == 5


def test_a_revision_that_is_gone(server: Any, shared_etcd: Any, ctl: Callable[..., Any]) -> None:
    for number in range(5):
        ctl("put", "k", str(number))
    ctl("compaction", str(revision_of(ctl)))
    done = ctl("make-mirror", "--rev=2", shared_etcd.address)
    theirs = "etcdserver: mvcc: required revision has been compacted"
    assert (done.code, done.error) == (1, f"Error: {theirs}")


def test_wrong_arguments(server: Any, ctl: Callable[..., Any]) -> None:
    assert ctl("make-mirror").code == 128
    assert ctl("make-mirror", "a", "b").code == 128
    both = ctl("make-mirror", "--dest-prefix=a", "--no-dest-prefix", "127.0.0.1:1")
    assert both.code == 128
    assert both.error.startswith("Error: `--dest-prefix` and `--no-dest-prefix` cannot")


def test_a_destination_with_users(
    server: Any,
    launch_etcd: Callable[..., Any],
    start: Callable[..., Any],
    here: Callable[..., Any],
    ctl: Callable[..., Any],
) -> None:
    """The other cluster asks who we are."""
    other = launch_etcd()
    common = ("--endpoints", other.address)
    here(*common, "user", "add", "root:pw")
    here(*common, "auth", "enable")
    ctl("put", "u/k", "v")
    refused = ctl("make-mirror", "--dest-user=root", "--dest-password=no", other.address)
    assert refused.code == 1
    assert "authentication failed" in refused.error
    mirror = start("make-mirror", "--dest-user=root:pw", other.address)
    for _ in range(100):
        if other.ctl("--user=root:pw", "get", "u/k").stdout == "u/k\nv\n":
            break
    else:
        pytest.fail("it did not arrive")
    mirror.signal(signal.SIGTERM)
    assert mirror.end().code == 5


class Reluctant:
    """A destination that takes so many requests, and then no more."""

    def __init__(self, requests_max: int) -> None:
        self.requests: list[Any] = []
        self.tired = trio.Event()
        self._max = requests_max

    async def call(self, _method: str, request: Any) -> None:
        await trio.lowlevel.checkpoint()
        if len(self.requests) == self._max:
            self.tired.set()
            await trio.sleep_forever()
        self.requests.append(request)


async def _interrupted(
    source: triode.Client, destination: Reluctant, *words: str
) -> make_mirror.Counter:
    """What a mirror says of itself when it is interrupted at a destination that takes no more."""
    flags = FlagValues(make_mirror.COMMANDS[0].flags)
    parse(flags, words)
    counter = make_mirror.Counter()
    ctx: Any = SimpleNamespace(flags=flags)
    target: Any = destination
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(make_mirror._mirror, ctx, source, target, counter)
            await destination.tired.wait()
            nursery.cancel_scope.cancel()
    return counter


async def test_what_an_interrupted_mirror_may_go_on_after(shared_etcd: Any) -> None:
    """Never a revision that it has not repeated, though the source tells of a later one with each response."""
    async with triode.connect(shared_etcd.address) as source:
        put = await source.put("late/0", "v")
        first = put.header.revision
        async with trio.open_nursery() as nursery:
            for _ in range(1999):
                nursery.start_soon(source.put, "late/0", "v")
        following = Reluctant(1500)
        counter = await _interrupted(source, following, "--prefix=late/", f"--rev={first}")
        assert counter.total == 1500
        assert first < counter.revision <= first + 1499
        await source.put("late/1", "v")
        copying = await _interrupted(source, Reluctant(1), "--prefix=late/")
    assert str(copying) == "1 changes mirrored, the copy is not complete"


def test_a_destination_that_is_lost(
    server: Any, launch_etcd: Callable[..., Any], start: Callable[..., Any], ctl: Callable[..., Any]
) -> None:
    """The end is etcdctl's; how far it has come is told as well."""
    other = launch_etcd()
    ctl("put", "lost/k", "v")
    mirror = start("make-mirror", "--prefix=lost/", other.address)
    wait_for(other, {"lost/k": "v"})
    revision = revision_of(ctl)
    other.stop()
    ctl("put", "lost/k", "w")
    done = mirror.end()
    assert done.code == 1
    assert done.err.splitlines()[-2] == f"1 changes mirrored, up to revision {revision}"
    assert done.error.startswith("Error: rpc error: code = Unavailable")


def test_a_password_is_asked_for_once(
    server: Any, shared_etcd: Any, start: Callable[..., Any], ctl: Callable[..., Any]
) -> None:
    ctl("put", "asked/k", "v")
    mirror = start(
        "--user=somebody",
        "make-mirror",
        "--prefix=asked/",
        shared_etcd.address,
        stdin=subprocess.PIPE,
    )
    mirror.process.stdin.write(b"pw\n")
    mirror.process.stdin.close()
    assert mirror.line() == "Password: "
    wait_for(shared_etcd, {"asked/k": "v"}, "asked/")
    mirror.signal(signal.SIGTERM)
    assert mirror.end().code == 5
