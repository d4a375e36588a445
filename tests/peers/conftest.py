"""Fixtures of the tests of links between nodes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_PEERS = Path(__file__).with_name("_peers.py")


def _load() -> ModuleType:
    name = "_peers_tests_peers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _PEERS)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def t() -> ModuleType:
    """The helpers of `_peers`."""
    return _load()
