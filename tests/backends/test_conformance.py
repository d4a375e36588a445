"""Every engine of ours keeps the contract, and the contract's tests notice one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from triode.backends.conformance import DurableConformance, EngineConformance
from triode.backends.contract import Engine
from triode.backends.crash import crash_once
from triode.backends.memory import MemoryEngine
from triode.backends.mirror import ModelEngine
from triode.backends.sqlite import SqliteEngine


class TestModel(EngineConformance):
    engine = ModelEngine
    histories_max = 5


class TestMemory(EngineConformance):
    engine = MemoryEngine
    histories_max = 40


class TestSqlite(DurableConformance):
    engine = SqliteEngine
    histories_max = 12


@pytest.mark.long
def test_sqlite_survives_many_kills(tmp_path: Path) -> None:
    found = 0
    for n in range(100):
        last, found = found, crash_once(SqliteEngine, tmp_path / "db", 1 + n * 13 % 97)
        assert found > last


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", [MemoryEngine, SqliteEngine])
def test_many_random_histories(engine: type[Engine], tmp_path: Path) -> None:
    from triode.backends.contract import EngineOptions
    from triode.backends.histories import run_histories

    run_histories(lambda path: engine.open(path, EngineOptions()), tmp_path, 500)
