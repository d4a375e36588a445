"""The simulated storage engine is an engine like any other, and a loss of power leaves a prefix of its commits."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from triode.backends.conformance import EngineConformance
from triode.backends.contract import Batch, EngineOptions
from triode.errors import DataDirLocked, DiskFull, StorageError
from triode.testing.platter import Platter, SimulatedEngine, engine_on

DB = Path("/m1/db")


class TestConformance(EngineConformance):
    """What every engine promises."""

    @pytest.fixture(autouse=True)
    def _fresh_platter(self) -> None:
        TestConformance.engine = engine_on(Platter())

    engine = SimulatedEngine


def opened(platter: Platter) -> SimulatedEngine:
    return engine_on(platter).open(DB, EngineOptions())


def put(engine: SimulatedEngine, number: int) -> None:
    engine.commit(Batch({"key": {b"%03d" % number: b"v"}}))


@pytest.mark.parametrize("seed", range(20))
def test_a_crash_leaves_a_prefix(seed: int) -> None:
    """At least what was synced, whole commits only, none without those before it."""
    random = Random(seed)
    platter = Platter(choose=random.randrange)
    engine = opened(platter)
    written = synced = 0
    for _ in range(30):
        if random.random() < 0.1:
            engine.sync()
            synced = written
        put(engine, written)
        written += 1
    platter.crash()
    kept = opened(platter).range("key", b"", None)
    assert kept == [(b"%03d" % n, b"v") for n in range(len(kept))]
    assert synced <= len(kept) <= written


def test_crashes_lose_different_parts() -> None:
    def left(seed: int) -> int:
        platter = Platter(choose=Random(seed).randrange)
        engine = opened(platter)
        for number in range(10):
            put(engine, number)
        platter.crash()
        return len(opened(platter).range("key", b"", None))

    assert len({left(seed) for seed in range(30)}) > 5


def test_closing_makes_it_durable() -> None:
    platter = Platter(choose=lambda _states: 0)
    engine = opened(platter)
    put(engine, 1)
    engine.close()
    platter.crash()
    assert opened(platter).get("key", b"001") == b"v"


def test_one_owner_until_the_power_goes() -> None:
    platter = Platter()
    opened(platter)
    with pytest.raises(DataDirLocked):
        opened(platter)
    platter.crash()
    opened(platter)


def test_a_full_disk_refuses_and_keeps_what_it_has() -> None:
    platter = Platter()
    engine = opened(platter)
    put(engine, 1)
    platter.capacity_bytes = 0
    with pytest.raises(DiskFull):
        put(engine, 2)
    assert [key for key, _ in engine.range("key", b"", None)] == [b"001"]
    platter.capacity_bytes = None
    put(engine, 2)


def test_nothing_is_created_unasked() -> None:
    with pytest.raises(StorageError, match="/m1/db"):
        engine_on(Platter()).open(DB, EngineOptions(create=False))


def test_a_fault_is_what_the_hook_raises() -> None:
    platter = Platter()
    engine = opened(platter)

    def fail(operation: str, path: Path) -> None:
        raise StorageError(f"cannot {operation} {path}: Input/output error")

    platter.before = fail
    with pytest.raises(StorageError, match="cannot sync /m1/db"):
        engine.sync()
