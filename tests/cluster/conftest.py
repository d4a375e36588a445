"""Clusters of real processes, clients that work on them, and what is checked afterwards.

`CLUSTER_MEMBERS` names the programs of the members in turn, `triode` by default: `CLUSTER_MEMBERS=etcd` runs the
suite against the real etcd, which proves the suite, and `CLUSTER_MEMBERS=etcd,triode` against mixed clusters.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_HERE = Path(__file__).parent
_live: list[Any] = []


def _load(name: str) -> ModuleType:
    full = f"_cluster_tests{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, _HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the members' logs with a failure."""
    report = yield
    if report.failed:
        for cluster in (one for one in _live if not one.closed):
            report.sections += [(f"log of {name}", text) for name, text in cluster.logs().items()]
    return report


@pytest.fixture(scope="session")
def daemons() -> ModuleType:
    """The processes, their client, and etcdctl."""
    return _load("_daemons")


@pytest.fixture(scope="session")
def history() -> ModuleType:
    """Records of what clients did, and their check."""
    return _load("_history")


@pytest.fixture
def networks() -> ModuleType:
    """Network namespaces, where the machine has them."""
    module = _load("_networks")
    if reason := module.why_not():
        pytest.skip(f"no network namespaces here: {reason}")
    return module


@pytest.fixture(scope="session")
def until(daemons: ModuleType) -> Callable[..., Any]:
    """`until(check, what, seconds)`: what `check` returns as soon as it is true."""
    function: Callable[..., Any] = daemons.until
    return function


def programs(size: int) -> list[str]:
    """What so many members run."""
    names = os.environ.get("CLUSTER_MEMBERS", "triode").split(",")
    return list(itertools.islice(itertools.cycle(names), size))


@pytest.fixture(scope="session")
def only_etcd() -> bool:
    """Whether no member is ours."""
    return set(programs(9)) == {"etcd"}


def _maker(folder: Path, daemons: ModuleType, made: list[Any]) -> Callable[..., Any]:
    def make(
        size: int = 3,
        *flags: str,
        start: bool = True,
        members: Sequence[str] = (),
        **options: Any,
    ) -> Any:
        where = folder / f"cluster-{len(made)}"
        where.mkdir()
        cluster = daemons.Cluster(where, members or programs(size), *flags, **options)
        made.append(cluster)
        _live.append(cluster)
        if start:
            cluster.start()
        return cluster

    return make


@pytest.fixture
def make_cluster(tmp_path: Path, daemons: ModuleType) -> Iterator[Callable[..., Any]]:
    """`make_cluster(3, "--flag", ..., heartbeat_ms=50)`: a cluster that runs, ended with the test."""
    made: list[Any] = []
    yield _maker(tmp_path, daemons, made)
    _close(made)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, daemons: ModuleType) -> Iterator[Any]:
    """Three members that all tests of a module share, and leave as they found them."""
    made: list[Any] = []
    try:
        yield _maker(tmp_path_factory.mktemp("shared"), daemons, made)(3)
    finally:
        _close(made)


def _close(clusters: list[Any]) -> None:
    for cluster in clusters:
        cluster.close()
        _live.remove(cluster)


@pytest.fixture
def start_load(daemons: ModuleType, history: ModuleType) -> Iterator[Callable[..., Any]]:
    """`start_load(cluster, clients=4, retrying=False)`: clients that work on all its members."""
    started: list[Any] = []

    def start(cluster: Any, **options: Any) -> Any:
        targets = [one.target for one in cluster.members]
        load = _load("_load").Load(daemons.Client, history.Operation, targets, **options)
        started.append(load)
        return load

    yield start
    for load in started:
        load.end()


@pytest.fixture
def verify(history: ModuleType) -> Callable[..., None]:
    """`verify(cluster, load)`: end the load; its history is linearizable, and all members have the same."""

    def check(cluster: Any, load: Any) -> None:
        operations = load.stop()
        assert sum(one.changed for one in operations) > 0, "nothing was written"
        revision = cluster.settled()
        watches = {one.name: history.watch_all(one.client, revision) for one in cluster.running}
        for responses in watches.values():
            history.check(operations, history.events_of(responses))
        judgement = history.judge(operations, watches, revision)
        assert not judgement.violations, str(judgement)
        assert judgement.decided
        cluster.same_hashes(revision)

    return check


@pytest.fixture
def follower(shared: Any) -> Any:
    """One of the shared members that does not lead."""
    return shared.followers()[0]


@pytest.fixture
def leader(shared: Any) -> Any:
    """The shared member that leads."""
    return shared.leader()
