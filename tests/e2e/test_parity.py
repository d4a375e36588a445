"""The real etcdctl cannot tell Triode from etcd: the same commands, the same words, the same exit codes.

Every script in `scripts/` runs against etcd 3.5.1 and against Triode on each backend, and the transcripts
are compared line by line. What has to differ (times, sizes, versions) is listed in `conftest.RULES`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.etcd
SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
BACKENDS = ("sqlite", "memory")
KINDS = ("etcd", *BACKENDS)
PEER = "http://127.0.0.1:{}"


@pytest.fixture(scope="module")
def peer_port() -> int:
    """One peer URL for all, as it decides the member's and the cluster's ID; nobody listens there."""
    return 52380


@pytest.fixture(scope="module")
def servers(
    launch_etcd_once: Callable[..., Any], launch_triode_once: Callable[..., Any], peer_port: int
) -> Callable[[str, tuple[str, ...]], Any]:
    """The server of a kind and flags; those without flags are shared by all scripts."""
    shared: dict[str, Any] = {}

    def start(kind: str, flags: tuple[str, ...]) -> Any:
        if kind == "etcd":
            return launch_etcd_once(*flags, peer_port=peer_port)
        urls = ("--initial-advertise-peer-urls", PEER.format(peer_port))
        return launch_triode_once(*urls, *flags, backend=kind)

    def server(kind: str, flags: tuple[str, ...]) -> Any:
        if flags:
            return start(kind, flags)
        if kind not in shared:
            shared[kind] = start(kind, ())
        return shared[kind]

    return server


@pytest.fixture(scope="module")
def transcripts(
    servers: Callable[[str, tuple[str, ...]], Any], run_script: Callable[[Any, str], list[str]]
) -> Callable[[Path], dict[str, list[str]]]:
    """What every server says to a script; all at once, as etcdctl's start is most of the time."""
    known: dict[Path, dict[str, list[str]]] = {}

    def transcripts_of(path: Path) -> dict[str, list[str]]:
        if path not in known:
            text = path.read_text()
            first = text.partition("\n")[0]
            flags = tuple(first.removeprefix("#!").split()) if first.startswith("#!") else ()
            started = [servers(kind, flags) for kind in KINDS]
            with ThreadPoolExecutor(len(KINDS)) as pool:
                said = pool.map(lambda server: run_script(server, text), started)
            known[path] = dict(zip(KINDS, said, strict=True))
        return known[path]

    return transcripts_of


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_same_transcript(
    path: Path, backend: str, transcripts: Callable[[Path], dict[str, list[str]]]
) -> None:
    """Triode says what etcd says."""
    theirs, ours = transcripts(path)["etcd"], transcripts(path)[backend]
    diff = "\n".join(difflib.unified_diff(theirs, ours, "etcd", "triode", n=3, lineterm=""))
    if diff:
        pytest.fail(diff, pytrace=False)
