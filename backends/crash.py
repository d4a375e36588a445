"""Killing a process that commits, and looking at what it left: the crash part of conformance.

The child commits batch 1, 2, 3, … of a known history, each of which adds rows, removes older ones and
counts, and syncs now and then; it says on its standard output what it has done. The parent kills it
with SIGKILL at some point and opens the engine: the content must be exactly that of one batch, and of
none earlier than the last that was synced.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path

from .contract import Batch, Engine, EngineOptions

__all__ = ["crash_once"]

BATCH_ROWS = 50
KEPT_BATCHES = 3
SYNC_EVERY = 5
BATCHES_MAX = 100_000  # a child that nobody kills ends


def _row_key(batch: int, row: int) -> bytes:
    return b"%010d_%04d" % (batch, row)


def _value(batch: int, row: int) -> bytes:
    return b"%d" % batch * (row * 7 % 90)


def _history(n: int) -> Batch:
    """Batch `n` (from 1) of the known history."""
    rows: dict[bytes, bytes | None] = {
        _row_key(n, row): _value(n, row) for row in range(BATCH_ROWS)
    }
    rows.update({_row_key(n - KEPT_BATCHES, row): None for row in range(BATCH_ROWS)})
    batch = Batch({"key": rows, "meta": {b"batch": b"%d" % n}})
    if n % 2 == 0:
        batch.writes[f"even{n}"] = {b"k": b"v"}
        batch.dropped.add(f"even{n - 2}")
    return batch


def _check(engine: Engine) -> int:
    """Assert that `engine` is exactly at one batch, and say which (0: nothing was committed)."""
    n = int(engine.get("meta", b"batch") or b"0")
    want = [
        (_row_key(batch, row), _value(batch, row))
        for batch in range(max(n - KEPT_BATCHES + 1, 1), n + 1)
        for row in range(BATCH_ROWS)
    ]
    assert engine.range("key", b"", None) == want, f"the rows are not those of batch {n}"
    even = [f"even{n - n % 2}"] if n >= 2 else []
    assert engine.buckets() == sorted([*even, *(["key", "meta"] if n else [])])
    return n


def child(module: str, qualname: str, path: str) -> None:
    """What the killed process runs."""
    engine = attrgetter(qualname)(import_module(module)).open(Path(path), EngineOptions())
    for n in range(_check(engine) + 1, BATCHES_MAX):
        engine.commit(_history(n))
        if n % SYNC_EVERY == 0:
            engine.sync()
            print("synced", n, flush=True)
        else:
            print("committed", n, flush=True)


def crash_once(cls: type[Engine], path: Path, lines: int) -> int:
    """Kill a committing process after `lines` of its reports and check what is left.

    `cls` must be importable by its module's name. Returns the number of the batch that was found;
    call it again with the same path to go on from there.
    """
    call = f"from {__name__} import child; child({cls.__module__!r}, {cls.__qualname__!r}, {str(path)!r})"
    with subprocess.Popen(
        [sys.executable, "-c", call], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        synced = 0
        for _ in range(lines):
            word, _, number = process.stdout.readline().partition(" ")
            assert number, "the committing process ended by itself"
            synced = int(number) if word == "synced" else synced
        process.kill()
        for line in process.stdout:  # what it still said before it died; the last line may be cut
            word, _, number = line.partition(" ")
            synced = int(number) if word == "synced" and number.endswith("\n") else synced
    engine = cls.open(path, EngineOptions())
    try:
        found = _check(engine)
    finally:
        engine.close()
    assert found >= synced, f"batch {synced} was synced, but only {found} are there"
    return found
