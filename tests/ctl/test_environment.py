"""Variables, logins, TLS files, endpoints: how a client comes to be as it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from triode.actors.discovery import SrvRecord
from triode.cli.common.exits import Failure
from triode.cli.common.flags import FlagValues
from triode.cli.ctl.connecting import options_of
from triode.cli.ctl.environment import complete
from triode.cli.ctl.global_flags import GLOBAL_FLAGS
from triode.cli.ctl.srv import client_endpoints
from triode.cli.ctl.trust import tls_of


@pytest.fixture
def flags() -> FlagValues:
    return FlagValues(GLOBAL_FLAGS)


def test_every_global_flag_has_two_variables() -> None:
    given = {"on": "true", "seconds": "1s"}
    for flag in GLOBAL_FLAGS:
        text = given["seconds"] if flag.kind.value == "duration" else "1"
        for prefix in ("ETCDCTL_", "TRIODECTL_"):
            values = FlagValues(GLOBAL_FLAGS)
            complete(values, {prefix + flag.name.upper().replace("-", "_"): text})
            before = FlagValues(GLOBAL_FLAGS)
            before.set(flag.name, text)
            assert values.value(flag.name) == before.value(flag.name)
            assert not values.changed(flag.name)


def test_ours_goes_before_that_of_etcdctl(flags: FlagValues) -> None:
    complete(flags, {"ETCDCTL_USER": "a", "TRIODECTL_USER": "b", "USER": "c"})
    assert flags.text("user") == "b"


def test_a_variable_beside_its_flag_is_fatal(
    flags: FlagValues, capfd: pytest.CaptureFixture[str]
) -> None:
    flags.set("user", "a")
    with pytest.raises(Failure) as caught:
        complete(flags, {"ETCDCTL_USER": "b"})
    assert (caught.value.code, caught.value.text) == (1, "")
    line = json.loads(capfd.readouterr().err)
    assert line["level"] == "fatal"
    assert line["environment-variable"] == "ETCDCTL_USER"


def test_variables_that_are_none_are_warned_of(
    flags: FlagValues, capfd: pytest.CaptureFixture[str]
) -> None:
    complete(
        flags,
        {
            "ETCDCTL_USERS": "b",
            "ETCDCTL_HEX": "maybe",
            "ETCDCTL_WATCH_KEY": "k",
            "ETCDCTL_API": "3",
            "ETCDCTL_CERT": "",
        },
    )
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["warn", "warn"]
    assert lines[1]["environment-variable"] == "ETCDCTL_USERS=b"
    assert flags.switch("hex") is False


@pytest.mark.parametrize(
    ("given", "login"),
    [
        ({}, None),
        ({"user": "root:pass:word"}, ("root", "pass:word")),
        ({"user": "root", "password": "word"}, ("root", "word")),
        ({"user": "ro:ot", "password": "word"}, ("ro:ot", "word")),
        ({"user": "root:"}, None),
    ],
)
def test_logins(flags: FlagValues, given: dict[str, str], login: tuple[str, str] | None) -> None:
    for name, text in given.items():
        flags.set(name, text)
    options = options_of(flags)
    assert (None if login is None else (options["user"], options["password"])) == login
    assert ("user" in options) == (login is not None)


def test_a_password_is_asked_for(here: Callable[..., Any]) -> None:
    done = here("get", "a", "--user", "root", "--endpoints", "127.0.0.1:1", stdin=b"")
    assert (done.code, done.errors) == (1, ["Error: EOF"])


def test_times_and_sizes(flags: FlagValues) -> None:
    for name, text in (
        ("dial-timeout", "1s"),
        ("keepalive-time", "7s"),
        ("max-request-bytes", "10"),
        ("max-recv-bytes", "20"),
    ):
        flags.set(name, text)
    options = options_of(flags)
    assert options["dial_timeout"] == 1.0
    assert options["keepalive_time"] == 7.0
    assert (options["max_send_bytes"], options["max_receive_bytes"]) == (10, 20)
    defaults = options_of(FlagValues(GLOBAL_FLAGS))
    assert (defaults["max_send_bytes"], defaults["max_receive_bytes"]) == (2 << 20, 2**31 - 1)
    assert defaults["tls"] is None


def test_tls_as_the_flags_ask_for(flags: FlagValues) -> None:
    assert tls_of(flags) is None
    flags.set("insecure-transport", "false")
    tls = tls_of(flags)
    assert tls is not None
    assert (tls.ca, tls.cert, tls.insecure_skip_verify) == (None, None, False)
    flags.set("cacert", "ca.pem")
    flags.set("discovery-srv", "example.org")
    flags.set("insecure-discovery", "false")
    tls = tls_of(flags)
    assert tls is not None
    assert (tls.ca, tls.server_name) == ("ca.pem", "example.org")
    skipping = FlagValues(GLOBAL_FLAGS)
    skipping.set("insecure-skip-tls-verify", "true")
    assert tls_of(skipping) is not None


@pytest.mark.parametrize("name", ["cert", "key", "cacert"])
def test_empty_files(flags: FlagValues, name: str) -> None:
    flags.set(name, "")
    with pytest.raises(Failure, match=f"^empty string is passed to --{name} option$") as caught:
        tls_of(flags)
    assert caught.value.code == 128


def test_files_that_are_not_there(here: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "none.pem"
    done = here("get", "a", "--cacert", str(path))
    assert done.code == 128
    assert done.errors == [f"Error: open {path}: no such file or directory"]
    done = here("get", "a", "--cert", str(path))
    assert done.code == 128
    assert done.errors == [f"Error: KeyFile and CertFile must both be present[key: , cert: {path}]"]


async def test_endpoints_by_dns() -> None:
    asked: list[str] = []

    async def lookup(name: str) -> list[SrvRecord]:
        await trio.lowlevel.checkpoint()
        asked.append(name)
        if "-ssl" in name:
            return [SrvRecord(0, 0, "a.example.org.", 2379)]
        return [SrvRecord(0, 0, "b.example.org.", 23790)]

    found = await client_endpoints("example.org", "blue", lookup)
    assert found == ["https://a.example.org:2379", "http://b.example.org:23790"]
    assert asked == [
        "_etcd-client-ssl-blue._tcp.example.org",
        "_etcd-client-blue._tcp.example.org",
    ]


async def test_no_endpoints_by_dns() -> None:
    async def lookup(name: str) -> list[SrvRecord]:
        await trio.lowlevel.checkpoint()
        raise OSError(f"no {name}")

    with pytest.raises(Failure, match=r"^dns lookup errors: no _etcd-client-ssl\._tcp\.x and no "):
        await client_endpoints("x", "", lookup)


def test_debug_says_what_the_flags_are(server: Any, here: Callable[..., Any]) -> None:
    done = here("get", "a", "--debug", "--endpoints", server.address)
    assert done.code == 0
    names = [line.split("=")[0] for line in done.errors]
    assert names == sorted("ETCDCTL_" + f.name.upper().replace("-", "_") for f in GLOBAL_FLAGS)
    assert f"ETCDCTL_ENDPOINTS=[{server.address}]" in done.errors
    assert "ETCDCTL_DIAL_TIMEOUT=2s" in done.errors


def test_an_endpoint_that_cannot_be_reached(here: Callable[..., Any]) -> None:
    """etcdctl's text and code; why it is, is said in a line of a log."""
    for command in (["get", "a"], ["put", "a", "1"], ["lease", "grant", "5"]):
        done = here(*command, "--endpoints", "127.0.0.1:1", "--command-timeout", "300ms")
        text = "context deadline exceeded"
        grant = command[0] == "lease"
        assert done.errors == [
            f"Error: failed to grant lease ({text})" if grant else f"Error: {text}"
        ]
        assert done.code == 1
        log = json.loads(done.err.splitlines()[0])
        assert (log["level"], log["endpoint"]) == ("warn", "127.0.0.1:1")
        assert "refused" in log["error"]


def test_one_of_several_endpoints_is_enough(server: Any, here: Callable[..., Any]) -> None:
    done = here("get", "none", "--endpoints", f"127.0.0.1:1, {server.address}")
    assert (done.code, done.out, done.err) == (0, b"", b"")


def test_endpoints_that_are_none(here: Callable[..., Any]) -> None:
    done = here("get", "a", "--endpoints", "http://[::1")
    assert done.code != 0
    assert len(done.errors) == 1
