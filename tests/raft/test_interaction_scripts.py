"""The interaction scripts of etcd-io/raft, to the letter: states, messages and log lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3] / "shared" / "raft-interaction"
CLUSTER = sorted(ROOT.glob("*.txt"))
QUORUM = sorted((ROOT / "quorum").glob("*.txt"))
CONFCHANGE = sorted((ROOT / "confchange").glob("*.txt"))


def check(scripts: ModuleType, path: Path, handle: Callable[..., str]) -> None:
    for directive, got in scripts.run(path, handle):
        where = f"{path.name}:{directive.line}: {directive.name}"
        assert f"{where}\n{got}" == f"{where}\n{directive.expected}"


@pytest.mark.parametrize("path", CLUSTER, ids=lambda path: path.stem)
def test_a_cluster_follows_the_script(
    scripts: ModuleType, interaction: ModuleType, path: Path
) -> None:
    check(scripts, path, interaction.Cluster())


@pytest.mark.parametrize("path", QUORUM, ids=lambda path: path.stem)
def test_quorums_decide_as_the_script_says(scripts: ModuleType, path: Path) -> None:
    check(scripts, path, scripts.quorum)


@pytest.mark.parametrize("path", CONFCHANGE, ids=lambda path: path.stem)
def test_memberships_change_as_the_script_says(scripts: ModuleType, path: Path) -> None:
    check(scripts, path, scripts.ConfChanges())
