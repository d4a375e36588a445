"""Finding the command that is meant, and what is said when there is none: held against the real etcdctl."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from triode.cli.common.help import help_text
from triode.cli.common.suggest import distance
from triode.cli.ctl.main import PROGRAM

WRONG = (
    "gett a",
    "nosuch",
    "l",
    "m",
    "GET a",
    "e health",
    "blah --foo",
    "--foo blah",
    "get --foo",
    "get -x",
    "get a --limit=",
    "get a --dial-timeout 5",
    "lease --foo grant",
    "-w",
    "get ---x",
    "help nope",
    "get",
    "g",
    "put",
    "txn a",
    "lease grant x",
    "lease revoke",
    "compaction",
    "lease timetolive zz -w xml",
    "get a -w xml",
    "get a --prefix --from-key",
    "get a --cert=",
)


@pytest.mark.etcd
@pytest.mark.parametrize("line", WRONG)
def test_wrong_usage(here: Callable[..., Any], etcdctl: Callable[..., Any], line: str) -> None:
    """The same exit code, and on stderr the same words; etcdctl 3.5 says its errors twice."""
    ours, theirs = here(*line.split()), etcdctl(*line.split())
    said = [each.replace("triodectl", "etcdctl") for each in ours.errors]
    assert ours.code == theirs.code
    assert said == theirs.errors[: len(said)]
    assert set(theirs.errors) <= set(said)
    assert bool(ours.out) == bool(theirs.out)


@pytest.mark.parametrize(
    ("line", "path", "rest"),
    [
        ("get a", "get", "a"),
        ("ge a", "get", "a"),
        ("lea gr 5", "lease grant", "5"),
        ("--hex lease --debug grant 5", "lease grant", "--hex --debug 5"),
        ("--endpoints x lease -w json grant 5", "lease grant", "--endpoints x -w json 5"),
        ("--endpoints=get lease list", "lease list", "--endpoints=get"),
        ("-w get put get", "put", "-w get get"),
        ("lease foo", "lease", "foo"),
        ("get get", "get", "get"),
        ("-- get", "", "-- get"),
        ("", "", ""),
        ("help get", "help", "get"),
    ],
)  # fmt: skip
def test_finding(line: str, path: str, rest: str) -> None:
    found = PROGRAM.find(line.split())
    assert found.command.path == path
    assert " ".join(found.arguments) == rest


def test_distances() -> None:
    assert distance("kitten", "sitting") == 3
    assert distance("", "abc") == distance("abc", "") == 3
    assert distance("get", "get") == 0


def test_every_command_has_a_help_that_shows_how(here: Callable[..., Any]) -> None:
    """What it does, how it is called, its flags, the global ones; examples for what can be run."""
    for command in PROGRAM.commands():
        text = help_text(PROGRAM, command)
        assert f"{command.path} - {command.short}" in text
        assert (
            f"  triodectl {command.parent + ' ' if command.parent else ''}{command.usage}" in text
        )
        assert all(f"--{flag.name}" in text for flag in (*command.flags, *PROGRAM.flags))
        if command.run is not None and command.name not in {
            "help",
            "options",
            "version",
            "completion",
        }:
            assert command.example, command.path
    assert here("lease", "grant", "--help").text == here("help", "lease", "grant").text


def test_the_help_of_all_lists_all(here: Callable[..., Any]) -> None:
    text = here().text
    assert text == here("--help").text == here("help").text
    for command in PROGRAM.commands():
        if command.run is not None:
            assert f"\n  {command.path}\t" in text
    assert all(f"--{flag.name}" in here("options").text for flag in PROGRAM.flags)


@pytest.mark.etcd
def test_versions(here: Callable[..., Any], etcdctl: Callable[..., Any]) -> None:
    ours, theirs = here("version").text.splitlines(), etcdctl("version").text.splitlines()
    assert [line.split(": ")[0] for line in ours[:2]] == [line.split(": ")[0] for line in theirs]
    assert ours[:2] == ["etcdctl version: 3.6.0", "API version: 3.6"]
