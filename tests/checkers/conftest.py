from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_HERE = Path(__file__).parent


def _load(full: str, path: Path) -> ModuleType:
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def runs() -> ModuleType:
    """Histories made by the real store, see `_runs.py`."""
    api = _load("tests_checkers_api", _HERE.parent / "mvcc" / "conftest.py")
    module = _load("tests_checkers_runs", _HERE / "_runs.py")
    module.Api = api  # type: ignore[attr-defined]
    return module


@pytest.fixture(scope="session")
def bugs() -> ModuleType:
    """Deliberate bugs, see `_bugs.py`."""
    return _load("tests_checkers_bugs", _HERE / "_bugs.py")
