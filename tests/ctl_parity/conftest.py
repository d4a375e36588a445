"""Servers in pairs, and both tools."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_HERE = Path(__file__).parent


def _load(name: str) -> ModuleType:
    full = f"_ctl_parity{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, _HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def tools() -> Any:
    """The module of command line tools."""
    return _load("_tools")


@pytest.fixture(scope="session")
def scripting() -> Any:
    """The module of scripts."""
    return _load("_script")


@pytest.fixture(scope="session")
def listing() -> Any:
    """The module of differences."""
    return _load("_differences")


@pytest.fixture(scope="session")
def triodectl(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Triodectl, imported once."""
    folder = tmp_path_factory.mktemp("forks")
    with tools.fork_server("triodectl", "triode.cli.ctl", folder) as server:
        yield server


@pytest.fixture(scope="session")
def run_script(
    tools: Any, scripting: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """`run_script(tool, address, text)` returns the steps with what the tool says."""

    def run(tool: Any, address: str, text: str, names: dict[str, str] | None = None) -> Any:
        folder = tmp_path_factory.mktemp("script")
        script = scripting.Script(tools, tool, address, folder, tools.ENVIRONMENT, names or {})
        return script.run(text)

    return run
