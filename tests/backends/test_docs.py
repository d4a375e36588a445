"""The engine of docs/backends.md keeps the contract, by the test that stands beside it there."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import pytest

import triode
from triode.backends.conformance import DurableConformance

PAGE = Path(triode.__file__).parent / "docs" / "backends.md"


def test_the_documented_engine_passes_its_documented_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "log_engine.py").write_text(engine)
    (tmp_path / "documented.py").write_text(test)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    suite: type[DurableConformance] = importlib.import_module("documented").TestLogEngine
    suite.histories_max = 5
    checks = [name for name in dir(suite) if name.startswith("test_")]
    assert len(checks) > 20
    for name in checks:
        folder = tmp_path / name
        folder.mkdir()
        getattr(suite(), name)(folder)
