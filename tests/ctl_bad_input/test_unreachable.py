"""Servers that are not there, say nothing, or are something else: in time, with etcdctl's words and exit code."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytestmark = pytest.mark.etcd
LIMITS = ("--dial-timeout=200ms", "--command-timeout=400ms")
SECONDS_MAX = 6  # on a busy machine; the limits together are less than one
COMMANDS = [
    ("get", "a"),
    ("put", "a", "1"),
    ("del", "a"),
    ("compaction", "5"),
    ("lease", "grant", "10"),
    ("alarm", "list"),
    ("member", "list"),
    ("member", "remove", "1234"),
    ("endpoint", "health"),
    ("endpoint", "status"),
    ("endpoint", "hashkv"),
    ("defrag",),
    ("auth", "status"),
    ("move-leader", "1234"),
]


def in_time(run: Callable[..., Any], *words: str) -> Any:
    begun = time.monotonic()
    done = run(*words)
    assert time.monotonic() - begun < SECONDS_MAX
    return done


@pytest.mark.parametrize("where", ["closed_port", "silent"])
def test_same_end(
    request: pytest.FixtureRequest,
    where: str,
    run: Callable[..., Any],
    tools: Any,
    said: Callable[..., Any],
) -> None:
    """The exit code of etcdctl, and its last words; many at once, as most of it is waiting."""
    endpoint = request.getfixturevalue(where)

    def both(words: tuple[str, ...]) -> tuple[Any, Any]:
        line = ("--endpoints", endpoint, *LIMITS, *words)
        return said(in_time(run, *line)), said(run(*line, tool=tools.ETCDCTL))

    with ThreadPoolExecutor(4) as pool:
        for words, (ours, theirs) in zip(COMMANDS, pool.map(both, COMMANDS), strict=True):
            assert ours[2] == theirs[2], (words, ours, theirs)
            assert ours[0] == theirs[0], words
            last = ours[1].splitlines()[-1].replace(". took <time>.", "")  # which 3.6 adds
            assert last == theirs[1].splitlines()[-1], words


@pytest.mark.parametrize(
    "words",
    [("lease", "timetolive", "1234"), ("lease", "list"), ("user", "list"), ("role", "get", "a")],
    ids=" ".join,
)
@pytest.mark.parametrize("where", ["closed_port", "silent"])
def test_where_etcdctl_waits_for_ever(
    request: pytest.FixtureRequest, where: str, words: tuple[str, ...], run: Callable[..., Any]
) -> None:
    """Its `--command-timeout` is for some commands only; ours is for all that are short."""
    done = in_time(run, "--endpoints", request.getfixturevalue(where), *LIMITS, *words)
    assert done.code in {1, 2}
    assert done.stderr.splitlines()[-1] == b"Error: context deadline exceeded"


@pytest.mark.parametrize("where", ["closed_port", "silent"])
def test_a_snapshot(request: pytest.FixtureRequest, where: str, run: Callable[..., Any]) -> None:
    """The exit code of etcdctl, and the reason."""
    endpoint = request.getfixturevalue(where)
    done = in_time(run, "--endpoints", endpoint, *LIMITS, "snapshot", "save", "never.db")
    assert done.code == 5
    assert endpoint.encode() in done.stderr


@pytest.mark.parametrize(
    "words", [("get", "a"), ("put", "a", "1"), ("endpoint", "health")], ids=" ".join
)
@pytest.mark.parametrize(
    "endpoint", ["no-such-host.invalid:2379", "http://no-such-host.invalid:2379"]
)
def test_a_name_that_is_not_known(
    run: Callable[..., Any], endpoint: str, words: tuple[str, ...]
) -> None:
    done = in_time(run, "--endpoints", endpoint, *LIMITS, *words)
    assert done.code == 1
    assert b"no-such-host.invalid" in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize(
    "words", [("get", "a"), ("put", "a", "1"), ("member", "list")], ids=" ".join
)
def test_somebody_else(run: Callable[..., Any], babbling: str, words: tuple[str, ...]) -> None:
    done = in_time(run, "--endpoints", babbling, *LIMITS, *words)
    assert done.code == 1
    assert done.stderr.splitlines()[-1].startswith(b"Error: ")


@pytest.mark.parametrize(
    "words", [("put", "f", "1"), ("get", "f"), ("lease", "list")], ids=" ".join
)
@pytest.mark.parametrize("where", ["closed_port", "silent", "babbling"])
def test_the_next_one_is_taken(
    request: pytest.FixtureRequest,
    run: Callable[..., Any],
    server: Any,
    where: str,
    words: tuple[str, ...],
) -> None:
    """With another endpoint that works, nobody notices."""
    endpoints = f"{request.getfixturevalue(where)},{server.address}"
    done = in_time(run, "--endpoints", endpoints, "--dial-timeout=200ms", *words)
    assert done.code == 0
    assert done.stderr == b""


def test_what_is_wrong_is_said(run: Callable[..., Any], closed_port: str) -> None:
    """More than that time was over: who it was, and what happened."""
    done = in_time(run, "--endpoints", closed_port, *LIMITS, "get", "a")
    assert closed_port.encode() in done.stderr
    assert b"refused" in done.stderr
    assert done.stderr.splitlines()[-1] == b"Error: context deadline exceeded"


def test_a_server_that_stops_answering(run: Callable[..., Any], silent: str) -> None:
    """No answer within the time of the command is an end, with or without a time for dialling."""
    done = in_time(
        run, "--endpoints", silent, "--dial-timeout=0", "--command-timeout=300ms", "get", "a"
    )
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == b"Error: context deadline exceeded"
