"""What is held is let go of, however the command ends; and both tools wait for each other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import triode

ON_TRIODE = pytest.mark.parametrize("server", ["triode"], indirect=True)
ON_ETCD = pytest.mark.parametrize("server", ["etcd"], indirect=True)


def keys_below(server: Any, prefix: str) -> list[str]:
    done = server.ctl("get", "--prefix", prefix, "--keys-only")
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("server", "number"),
    [("etcd", signal.SIGINT), ("triode", signal.SIGTERM), ("triode", signal.SIGHUP)],
    indirect=["server"],
)
def test_a_lock_is_held_until_a_signal(
    server: Any, start: Callable[..., Any], number: signal.Signals
) -> None:
    name = f"until-{number.name}"
    holder = start("lock", name)
    key = holder.line()
    assert re.fullmatch(rf"{name}/[0-9a-f]+", key)
    assert holder.line() == ""
    assert keys_below(server, name) == [key]
    holder.signal(number)
    done = holder.end()
    assert (done.code, done.out, done.err) == (0, "", "")
    assert keys_below(server, name) == []


@ON_TRIODE
def test_a_lock_outlives_the_terminal(server: Any, start: Callable[..., Any]) -> None:
    """After `nohup` a SIGHUP means nothing; the next signal does."""
    holder = start("lock", "nohup", before=("nohup",))
    key = holder.line()
    holder.line()
    holder.signal(signal.SIGHUP)
    assert keys_below(server, "nohup") == [key]
    holder.signal(signal.SIGTERM)
    assert holder.end().code == 0
    assert keys_below(server, "nohup") == []


@ON_TRIODE
def test_the_tools_wait_for_each_other(server: Any, start: Callable[..., Any]) -> None:
    """First etcdctl holds, then we, then etcdctl."""
    words = [*server.ctl_words, "lock", "shared"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as theirs:
        assert theirs.stdout is not None
        assert theirs.stdout.readline().startswith("shared/")
        ours = start("lock", "shared", "echo", "mine")
        waiting = len(keys_below(server, "shared"))
        theirs.send_signal(signal.SIGINT)
        assert ours.line() == "mine"
        assert waiting in (1, 2)
        assert theirs.wait(20) == 0
    assert ours.end().code == 0
    ours = start("lock", "shared")
    assert ours.line().startswith("shared/")
    with subprocess.Popen([*words, "echo", "theirs"], stdout=subprocess.PIPE, text=True) as theirs:
        assert theirs.stdout is not None
        ours.signal(signal.SIGTERM)
        assert theirs.stdout.readline() == "theirs\n"
        assert ours.end().code == 0


@ON_TRIODE
def test_giving_up_while_waiting(server: Any, start: Callable[..., Any]) -> None:
    """Who waits and is interrupted leaves the queue."""
    holder = start("lock", "queue")
    holder.line()
    waiting = start("lock", "queue")
    while len(keys_below(server, "queue")) < 2:
        pass
    waiting.signal(signal.SIGINT)
    done = waiting.end()
    assert (done.code, done.out, done.err) == (1, "", "Error: context canceled\n")
    assert len(keys_below(server, "queue")) == 1


@ON_TRIODE
def test_a_command_finds_the_lock_in_its_environment(
    server: Any, start: Callable[..., Any]
) -> None:
    show = "import os; print(os.environ['ETCD_LOCK_KEY'], os.environ['ETCD_LOCK_REV'])"
    done = start("lock", "env", "--", sys.executable, "-c", show).end()
    assert done.code == 0, done.err
    first = re.fullmatch(r"env/[0-9a-f]+ (\d+)\n", done.out)
    assert first
    again = re.search(r"\d+$", start("lock", "env", "--", sys.executable, "-c", show).end().out)
    assert again
    assert int(again[0]) > int(first[1]), "the number grows from holder to holder"
    assert keys_below(server, "env") == []


@ON_ETCD
@pytest.mark.parametrize("program", ["exit 3", "kill -9 $$", "exit 0", "echo out; echo err >&2"])
def test_the_end_of_the_command_is_ours(
    server: Any, start: Callable[..., Any], program: str
) -> None:
    """Output, errors and exit code, as etcdctl passes them on."""
    theirs = server.ctl("lock", "code", "--", "sh", "-c", program)
    ours = start("lock", "code", "--", "sh", "-c", program).end()
    assert (ours.code, ours.out, ours.err) == (theirs.returncode, theirs.stdout, theirs.stderr)


@ON_ETCD
def test_a_command_that_is_not_there(server: Any, ctl: Callable[..., Any]) -> None:
    theirs = server.ctl("lock", "none", "no-such-command")
    ours = ctl("lock", "none", "no-such-command")
    assert (ours.code, ours.out, ours.err) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert keys_below(server, "none") == []


@ON_TRIODE
def test_a_command_is_told_of_sigterm(server: Any, start: Callable[..., Any]) -> None:
    """It ends in its own time, and the lock is held until then."""
    program = "trap 'echo stopping; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    held = start("lock", "term", "--", "sh", "-c", program)
    assert held.line() == "ready"
    held.signal(signal.SIGTERM)
    assert held.line() == "stopping"
    done = held.end()
    assert (done.code, done.err) == (7, "Error: exit status 7\n")
    assert keys_below(server, "term") == []


@ON_TRIODE
def test_a_lock_that_is_lost(server: Any, start: Callable[..., Any]) -> None:
    """Its lease is revoked by somebody: the command is ended, since it may no longer do what it does."""
    program = "trap 'echo told; exit 0' TERM; echo $ETCD_LOCK_KEY; while :; do sleep 0.05; done"
    held = start("lock", "lost", "--ttl=3", "--", "sh", "-c", program)
    lease = held.line().partition("/")[2]
    assert server.ctl("lease", "revoke", lease).returncode == 0
    assert held.line() == "told"
    done = held.end()
    assert (done.code, done.err) == (1, "Error: session expired\n")


@ON_TRIODE
def test_a_command_that_does_not_listen(server: Any, start: Callable[..., Any]) -> None:
    """It is killed, without a word about how."""
    deaf = "trap '' TERM; echo $ETCD_LOCK_KEY; while :; do sleep 0.05; done"
    impatient = (
        "from triode.cli.ctl import child; from triode.cli.ctl.main import main;"
        " child.PATIENCE_SECONDS = 0.1; main()"
    )
    held = start("lock", "deaf", "--ttl=3", "--", "sh", "-c", deaf, program=impatient)
    lease = held.line().partition("/")[2]
    assert server.ctl("lease", "revoke", lease).returncode == 0
    done = held.end()
    assert (done.code, done.err) == (1, "Error: session expired\n")


@ON_TRIODE
def test_a_signal_that_comes_with_the_lock(
    server: Any, ctl: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is not run, and nobody is told that it was."""

    @asynccontextmanager
    async def locked(*_: object, **__: object) -> AsyncIterator[Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        for _turn in range(20):  # the signal has been taken, and its cancellation not yet seen
            await trio.lowlevel.cancel_shielded_checkpoint()
        yield SimpleNamespace(key=b"with/1", token=2)

    monkeypatch.setattr(triode.Client, "lock", locked)
    done = ctl("lock", "with", "--", "sh", "-c", "echo it ran >&2")
    assert (done.code, done.error) == (1, "Error: context canceled")


@ON_ETCD
@pytest.mark.parametrize(
    "arguments",
    [("lock",), ("elect",), ("elect", "e"), ("elect", "e", "me", "-l"), ("elect", "a", "b", "c")],
    ids=" ".join,
)
def test_wrong_arguments(server: Any, ctl: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    theirs, ours = server.ctl(*arguments), ctl(*arguments)
    assert (ours.code, ours.out, ours.err) == (theirs.returncode, theirs.stdout, theirs.stderr)


@ON_TRIODE
def test_an_election(server: Any, start: Callable[..., Any]) -> None:
    """One leads, one listens, one waits and takes over."""
    listener = start("elect", "boss", "-l")
    first = start("elect", "boss", "first")
    key = first.line()
    assert re.fullmatch(r"boss/[0-9a-f]+", key)
    assert first.line() == "first"
    assert [listener.line(), listener.line()] == [key, "first"]
    second = start("elect", "boss", "second")
    while len(keys_below(server, "boss")) < 2:
        pass
    first.signal(signal.SIGINT)
    done = first.end()
    assert (done.code, done.out, done.err) == (0, "", "")
    assert second.line() != key
    assert second.line() == "second"
    assert listener.line() != key
    assert listener.line() == "second"
    second.signal(signal.SIGTERM)
    assert second.end().code == 0
    listener.signal(signal.SIGINT)
    done = listener.end()
    assert (done.code, done.out, done.err) == (0, "", "")
    assert keys_below(server, "boss") == []


@ON_ETCD
def test_an_election_with_etcdctl(server: Any, start: Callable[..., Any]) -> None:
    words = [*server.ctl_words, "elect", "both", "theirs"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as theirs:
        assert theirs.stdout is not None
        assert theirs.stdout.readline().startswith("both/")
        ours = start("elect", "both", "ours")
        while len(keys_below(server, "both")) < 2:
            pass
        theirs.send_signal(signal.SIGTERM)
        assert ours.line().startswith("both/")
        assert ours.line() == "ours"
        assert theirs.wait(20) == 0
    ours.signal(signal.SIGTERM)
    assert ours.end().code == 0


@ON_TRIODE
def test_a_leadership_that_is_lost(server: Any, start: Callable[..., Any]) -> None:
    program = (
        "from triode.cli.ctl.commands import elect; from triode.cli.ctl.main import main;"
        " elect.SESSION_SECONDS = 2; main()"
    )
    leader = start("elect", "gone", "me", program=program)
    lease = leader.line().partition("/")[2]
    leader.line()
    assert server.ctl("lease", "revoke", lease).returncode == 0
    done = leader.end()
    assert (done.code, done.err) == (1, "Error: elect: session expired\n")
