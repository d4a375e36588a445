"""Helpers for the tests here: clusters in one process, and packages beside the tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE))  # `raftscripts` and `raftsim`, which run as programs as well


def _load(name: str) -> ModuleType:
    full = f"_raft_tests{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, _HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def network() -> ModuleType:
    """Clusters in one process, with a network that can be cut."""
    return _load("_network")
