from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from triode.actors.membership import Membership
from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine

HERE = Path(__file__).parent
NAME = "_cluster_life_members"


@pytest.fixture
def backend() -> Backend:
    return Backend(MemoryEngine.open(None, EngineOptions()))


@pytest.fixture
def membership(backend: Backend) -> Membership:
    return Membership(backend, 0xC)


@pytest.fixture(scope="session")
def m() -> ModuleType:
    """The helpers of `_members`."""
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(NAME, HERE / "_members.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[NAME]
