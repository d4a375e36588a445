"""auth, user and role, against the real etcd: what etcdctl says of it, we say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from triode.cli.ctl import quick


@pytest.fixture
def server(shared_etcd: Any) -> Any:
    """Only etcd has users so far."""
    return shared_etcd


@pytest.fixture
def secured(launch_etcd: Callable[..., Any], here: Callable[..., Any]) -> Iterator[Any]:
    """A server of its own with authentication on; root's password is `rootpw`."""
    server = launch_etcd()
    common = ("--endpoints", server.address)
    assert here(*common, "user", "add", "root:rootpw").out == "User root created\n"
    assert here(*common, "auth", "enable").out == "Authentication Enabled\n"
    yield server
    done = here(*common, "--user", "root:rootpw", "auth", "disable")
    assert done.out == "Authentication Disabled\n", done.err


def both(server: Any, ctl: Callable[..., Any], *arguments: str) -> Any:
    """What only asks, asked by both tools."""
    theirs, ours = server.ctl(*arguments), ctl(*arguments)
    assert (ours.code, ours.out) == (theirs.returncode, theirs.stdout)
    assert ours.error == (theirs.stderr.splitlines() or [""])[-1]
    return ours


def test_users(server: Any, ctl: Callable[..., Any]) -> None:
    assert ctl("user", "add", "alice:secret").out == "User alice created\n"
    both(server, ctl, "user", "add", "alice:secret")
    assert ctl("user", "add", "bob", "--new-user-password=x").out == "User bob created\n"
    assert ctl("user", "add", "carol", "--no-password").out == "User carol created\n"
    assert ctl("role", "add", "cook").out == "Role cook created\n"
    granted = ctl("user", "grant-role", "alice", "cook")
    assert granted.out == "Role cook is granted to user alice\n"
    for form in ("simple", "json", "fields", "table"):
        both(server, ctl, "user", "list", "-w", form)
        both(server, ctl, "user", "get", "alice", "-w", form)
    both(server, ctl, "user", "get", "alice", "--detail")
    both(server, ctl, "user", "get", "nobody")
    revoked = ctl("user", "revoke-role", "alice", "cook")
    assert revoked.out == "Role cook is revoked from user alice\n"
    both(server, ctl, "user", "revoke-role", "alice", "cook")
    for name in ("alice", "bob", "carol"):
        assert ctl("user", "delete", name).out == f"User {name} deleted\n"
    both(server, ctl, "user", "delete", "alice")
    assert ctl("role", "delete", "cook").out == "Role cook deleted\n"
    both(server, ctl, "role", "delete", "cook")


RANGES = [
    ("read", "key"),
    ("Write", "a", "b"),
    ("READWRITE", "c", "x"),
    ("readwrite", "--prefix", "pre/"),
    ("write", "--from-key", "z"),
    ("read", ""),
    ("write", "--prefix", ""),
    ("read", "\udcff", "--prefix"),
    ("read", "grün"),
]


def test_permissions(server: Any, ctl: Callable[..., Any]) -> None:
    """Both tools grant the same, see the same, and revoke the same."""
    for name in ("mine", "theirs"):
        assert ctl("role", "add", name).code == 0
    for kind, *keys in RANGES:
        arguments = [a.encode("utf-8", "surrogateescape") for a in keys]
        server.ctl("role", "grant-permission", "theirs", kind, *arguments)
        assert ctl("role", "grant-permission", "mine", kind, *keys).out == "Role mine updated\n"
    found = [
        json.loads(ctl("role", "get", name, "-w", "json").out)["perm"]
        for name in ("mine", "theirs")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == len(RANGES)
    for form in ("json", "fields", "table"):
        both(server, ctl, "role", "get", "mine", "-w", form)
    for name in ("mine", "theirs"):
        assert ctl("role", "revoke-permission", name, "--prefix", "\udcff").code == 0
    both(server, ctl, "role", "get", "mine")
    both(server, ctl, "role", "list")
    both(server, ctl, "role", "list", "-w", "json")
    both(server, ctl, "role", "list", "-w", "fields")
    for _, *keys in RANGES[:7]:
        theirs = server.ctl("role", "revoke-permission", "theirs", *keys)
        ours = ctl("role", "revoke-permission", "mine", *keys)
        assert ours.out == theirs.stdout.replace("theirs", "mine")
        assert ours.code == 0
    both(server, ctl, "role", "revoke-permission", "mine", "never granted")
    for name in ("mine", "theirs"):
        assert ctl("role", "delete", name).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "add"),
        ("user", "add", ":pw"),
        ("user", "delete"),
        ("user", "get"),
        ("user", "list", "x"),
        ("user", "passwd"),
        ("user", "grant-role", "u"),
        ("user", "revoke-role", "u"),
        ("user", "grant-role", "nobody", "nothing"),
        ("role", "add"),
        ("role", "delete", "a", "b"),
        ("role", "get"),
        ("role", "get", "nothing"),
        ("role", "list", "x"),
        ("role", "grant-permission", "r", "read"),
        ("role", "grant-permission", "r", "fly", "k"),
        ("role", "grant-permission", "r", "read", "k", "--prefix", "--from-key"),
        ("role", "grant-permission", "r", "read", "k", "l", "--prefix"),
        ("role", "grant-permission", "r", "read", "k", "l", "--from-key"),
        ("role", "grant-permission", "r", "read", "", "--prefix", "--from-key"),
        ("role", "revoke-permission", "r"),
        ("auth", "enable", "x"),
        ("auth", "disable", "x"),
        ("auth", "status", "x"),
        ("auth", "enable"),
        ("auth", "status"),
        ("auth", "status", "-w", "json"),
        ("auth", "status", "-w", "fields"),
    ],
    ids=" ".join,
)
def test_wrong_as_etcdctl(server: Any, ctl: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    both(server, ctl, *arguments)


def test_the_open_role_root(server: Any, ctl: Callable[..., Any]) -> None:
    """It may do everything, which 3.6 shows and 3.5 does not."""
    assert ctl("role", "add", "root").code == 0
    shown = ctl("role", "get", "root").out
    assert shown == "Role root\nKV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n"
    assert ctl("role", "delete", "root").code == 0


def test_authentication(secured: Any, here: Callable[..., Any]) -> None:
    """The role root was made on the way; who may not, is told so."""
    common = ("--endpoints", secured.address)
    root = (*common, "--user", "root:rootpw")
    status = here(*root, "auth", "status")
    assert status.lines[0] == "Authentication Status: true"
    assert status.lines[1].startswith("AuthRevision: ")
    assert here(*root, "user", "get", "root").out == "User: root\nRoles: root\n"
    refused = here(*common, "user", "list")
    assert (refused.code, refused.error) == (1, "Error: etcdserver: user name is empty")
    assert here(*root, "user", "add", "eve:pw").code == 0
    denied = here(*common, "--user", "eve:pw", "user", "list")
    assert (denied.code, denied.error) == (1, "Error: etcdserver: permission denied")
    wrong = here(*common, "--user", "eve:no", "user", "list")
    assert wrong.code == 2
    assert "authentication failed" in wrong.error
    assert here(*root, "member", "list").code == 0
    assert here(*root, "endpoint", "health").code == 0


def test_one_call(secured: Any, here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A login and a call go past the client; what is said is the same."""
    common = ("--endpoints", secured.address)
    assert here(*common, "--user", "root:rootpw", "put", "a", "1").code == 0
    assert here(*common, "--user", "root:rootpw", "user", "add", "eve:pw").code == 0
    users = ("root:rootpw", "root:no", "eve:pw", "me:x", "root:")
    lines = [("--user", user, "get", "a") for user in users]
    lines.append(("--user=root", "--password=rootpw", "get", "a"))
    with monkeypatch.context() as context:
        context.setattr(quick, "quick_call", lambda *_: None)
        usual = [here(*common, *words) for words in lines]
    assert usual[0].out == "a\n1\n"

    def run(*_: object) -> None:
        raise AssertionError("the client was asked")

    with monkeypatch.context() as context:
        context.setattr("trio.run", run)
        at_once = [here(*common, *words) for words in lines]
    assert [(one.code, one.out, one.err) for one in at_once] == [
        (one.code, one.out, one.err) for one in usual
    ]


def test_health_of_those_who_may_not_read(secured: Any, here: Callable[..., Any]) -> None:
    """It takes a majority to find out that somebody may not: the endpoint is healthy."""
    root = ("--endpoints", secured.address, "--user", "root:rootpw")
    assert here(*root, "user", "add", "eve:pw").code == 0
    theirs = secured.ctl("--user", "eve:pw", "endpoint", "health")
    ours = here("--endpoints", secured.address, "--user", "eve:pw", "endpoint", "health")
    assert ours.code == theirs.returncode
    assert ours.out.partition("took")[0] == theirs.stdout.partition("took")[0]


def test_passwords_from_stdin(server: Any, start: Callable[..., Any], folder: Path) -> None:
    """The first word of the first line, whatever follows."""
    (folder / "password").write_text("secret words\nmore\n")
    with (folder / "password").open() as file:
        added = start("user", "add", "dave", "--interactive=false", stdin=file).end()
    assert (added.code, added.out) == (0, "User dave created\n")
    with (folder / "password").open() as file:
        changed = start("user", "passwd", "dave", "--interactive=false", stdin=file).end()
    assert (changed.code, changed.out) == (0, "Password updated\n")
    assert server.ctl("user", "delete", "dave").returncode == 0


def test_passwords_from_a_terminal(server: Any, terminal: Callable[..., Any]) -> None:
    """Asked twice, and not shown."""
    screen = terminal("--endpoints", server.address, "user", "add", "frank")
    screen.until("Password of frank: ")
    screen.type("geheim\n")
    screen.until("Type password of frank again for confirmation: ")
    screen.type("geheim\n")
    screen.until("User frank created")
    code, _ = screen.end()
    assert code == 0
    assert "geheim" not in screen.seen

    screen = terminal("--endpoints", server.address, "user", "passwd", "frank")
    screen.until("Password of frank: ")
    screen.type("eins\n")
    screen.until("confirmation: ")
    screen.type("zwei\n")
    screen.until("Error: given passwords are different")
    assert screen.end()[0] == 128

    screen = terminal("--endpoints", server.address, "user", "passwd", "frank")
    screen.until("Password of frank: ")
    screen.type("\n")
    screen.until("Error: empty password")
    assert screen.end()[0] == 128
    assert server.ctl("user", "delete", "frank").returncode == 0


def test_ctrl_c_at_a_password(server: Any, terminal: Callable[..., Any]) -> None:
    """Ends at once, the terminal shows what is typed again, and there is no traceback."""
    screen = terminal("--endpoints", server.address, "user", "add", "grace")
    screen.until("Password of grace: ")
    screen.interrupt()
    code, shown = screen.end()
    assert code in (-2, 130)
    assert "Traceback" not in shown
