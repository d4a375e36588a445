"""A person who types `triodectl` sees what `etcdctl` would have shown: the same command lines through both tools.

Each script in `scripts/` runs with etcdctl 3.5.1 against one server, and with triodectl against its twin: a server of
the same kind that has seen the same requests. One server would not do, as revisions, member lists, leases and counts
would show the other tool's work. With twins the outputs are compared byte for byte, revisions included; what cannot be
equal is in `_script.RULES`, and what is meant to differ is in `differences.txt`, each with its reason. Afterwards both
stores must hold the same.

The servers are Triode's; etcd 3.5.1 itself serves what Triode does not (`auth`), and some scripts run with both.
"""

from __future__ import annotations

import fcntl
import json
import os
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

pytestmark = pytest.mark.etcd
SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
KINDS = ("triode", "etcd")
PEER_PORT = 55557  # decides the IDs, for twins the same; its ID is greater than those of others
LINES_MIN = 350


def flags_of(text: str) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The kinds of servers for a script, and the flags of servers of its own."""
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        return ("triode",), None
    kind, *flags = first.removeprefix("#!").split()
    return KINDS if kind == "both" else (kind,), tuple(flags)


CASES = [(path, kind) for path in SCRIPTS for kind in flags_of(path.read_text())[0]]


@pytest.fixture(scope="module")
def twins(
    launch_etcd_once: Callable[..., Any], launch_triode_once: Callable[..., Any]
) -> Callable[[str, tuple[str, ...] | None], tuple[Any, Any]]:
    """Two servers of a kind and flags; those without flags are shared by all scripts."""
    shared: dict[str, tuple[Any, Any]] = {}

    def start(kind: str, flags: tuple[str, ...]) -> Any:
        if kind == "etcd":
            return launch_etcd_once(*flags, peer_port=PEER_PORT)
        urls = ("--initial-advertise-peer-urls", f"http://127.0.0.1:{PEER_PORT}")
        return launch_triode_once(*urls, *flags, backend="memory")

    def pair(kind: str, flags: tuple[str, ...] | None) -> tuple[Any, Any]:
        if flags is not None:
            return start(kind, flags), start(kind, flags)
        if kind not in shared:
            shared[kind] = start(kind, ()), start(kind, ())
        return shared[kind]

    return pair


@attrs.frozen
class Found:
    """Where the tools differ in a script, what the stores hold afterwards, and how often each rule was of use."""

    differences: list[Any]
    stores: list[str]
    uses: list[int]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run know."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ctl_parity"
    folder.mkdir(exist_ok=True)
    return folder


def empty(server: Any) -> None:
    """Leave nothing behind: any script may come next."""
    ask(server, "kv/deleterange", key="AA==", range_end="AA==")
    for lease in ask(server, "lease/leases").get("leases", []):
        ask(server, "lease/revoke", **lease)


def ask(server: Any, method: str, **request: str) -> Any:
    """A request to the JSON gateway."""
    body = json.dumps(request).encode()
    with urllib.request.urlopen(f"{server.url}/v3/{method}", body) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def play(
    twins: Callable[..., tuple[Any, Any]],
    tools: Any,
    triodectl: Any,
    listing: Any,
    scripting: Any,
    run_script: Callable[..., Any],
) -> Callable[[Path, str], Found]:
    """Run a script with both tools."""

    def played(path: Path, kind: str) -> Found:
        text = path.read_text()
        flags = flags_of(text)[1]
        servers = twins(kind, flags)
        with ThreadPoolExecutor(2) as pool:
            theirs, ours = pool.map(
                lambda tool, server: run_script(tool, server.address, text),
                (tools.ETCDCTL, triodectl),
                servers,
            )
        for step in (*theirs, *ours):
            assert not any(word in said for said in step.said for word in scripting.FAILED), step
        stores = [server.ctl("get", "", "--from-key", "-w", "json").stdout for server in servers]
        if flags is None:
            for server in servers:
                empty(server)
        before = [rule.uses for rule in listing.listed().rules]
        differences = listing.differences(path.stem, theirs, ours)
        after = [rule.uses for rule in listing.listed().rules]
        return Found(differences, stores, [b - a for a, b in zip(before, after, strict=True)])

    return played


@pytest.fixture(scope="module")
def found(
    play: Callable[[Path, str], Found], shared_folder: Path, listing: Any
) -> Callable[[Path, str], Found]:
    """What a script brings to light; each runs once, in whichever process needs it first."""

    def found_in(path: Path, kind: str) -> Found:
        result = shared_folder / f"{path.stem}-{kind}.json"
        with result.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not result.exists():
                result.write_text(json.dumps(attrs.asdict(play(path, kind))))
        known = json.loads(result.read_text())
        for each in known["differences"]:
            each["changes"] = tuple(each["changes"])
        differences = [listing.Difference(**each) for each in known["differences"]]
        return Found(differences, known["stores"], known["uses"])

    return found_in


@pytest.mark.parametrize(("path", "kind"), CASES, ids=[f"{p.stem}-{k}" for p, k in CASES])
def test_same_words(path: Path, kind: str, found: Callable[..., Found], listing: Any) -> None:
    """Output, errors and exit code of each line, and what the stores hold in the end."""
    seen = found(path, kind)
    problems = listing.report(listing.listed().of(path.stem, kind), seen.differences)
    if problems:
        pytest.fail(problems, pytrace=False)
    assert seen.stores[0] == seen.stores[1]


def test_enough_lines(scripting: Any) -> None:
    """A few hundred command lines; what waits, tells and stops does not count."""
    lines = [line for path in SCRIPTS for line, _ in scripting.steps(path.read_text())]
    commands = [line for line in lines if line.split()[0] not in scripting.BACKSTAGE]
    assert len(commands) >= LINES_MIN


def test_every_difference_has_a_reason(listing: Any) -> None:
    listed = listing.listed()
    names = {path.stem for path in SCRIPTS}
    assert {one.script.rpartition("/")[2] for one in listed.differences} <= names
    assert all(one.reason for one in [*listed.differences, *listed.rules])


@pytest.mark.timeout(300)
def test_every_rule_is_needed(found: Callable[..., Found], listing: Any) -> None:
    """A rule that changes nothing is a difference that is gone."""
    uses = [found(path, kind).uses for path, kind in reversed(CASES)]
    rules = zip(listing.listed().rules, zip(*uses, strict=True), strict=True)
    assert [rule.pattern.pattern for rule, each in rules if not any(each)] == []
