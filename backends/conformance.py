"""The contract as tests, for any engine.

Subclass `EngineConformance` (or `DurableConformance` for an engine that keeps its data) in a test
module, name the engine, and run pytest:

    from triode.backends.conformance import DurableConformance

    class TestMyEngine(DurableConformance):
        engine = MyEngine

Override `open_engine` when opening needs more than a path. The random histories need `hypothesis`;
everything else needs nothing but the standard library. Failing comparisons read better after
`pytest.register_assert_rewrite("triode.backends.conformance")`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor  # views are promised to work on other threads
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

from ..errors import DataDirLocked, StorageError
from .contract import SCAN_ROWS, Batch, Engine, EngineOptions, Row

__all__ = ["DurableConformance", "EngineConformance"]

MANY = 3 * SCAN_ROWS + 17
LARGE_BYTES = 3 << 20


def _revision(n: int) -> bytes:
    """A key as etcd's `key` bucket has them."""
    return n.to_bytes(8, "big") + b"_" + bytes(8)


def _put(bucket: str, rows: dict[bytes, bytes]) -> Batch:
    return Batch({bucket: {**rows}})


def _delete(bucket: str, *keys: bytes) -> Batch:
    return Batch({bucket: dict.fromkeys(keys)})


@contextmanager
def _refused(kind: type[Exception], path: Path) -> Iterator[None]:
    """Assert that the block raises `kind` and that the message names `path`."""
    try:
        yield
    except kind as error:
        text = str(error)
    else:
        raise AssertionError(f"{kind.__name__} was not raised")
    assert str(path) in text


class EngineConformance:
    """What every engine promises."""

    engine: ClassVar[type[Engine]]
    histories_max: ClassVar[int] = 25
    """How many random histories to try."""

    def open_engine(self, path: Path) -> Engine:
        """Open the engine at `path`, creating it when nothing is there."""
        return self.engine.open(path, EngineOptions())

    @contextmanager
    def opened(self, tmp_path: Path) -> Iterator[Engine]:
        """An engine of this test's own."""
        with closing(self.open_engine(tmp_path / "db")) as engine:
            yield engine

    # --- single reads and writes ---------------------------------------------------------------

    def test_a_new_engine_is_empty(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            assert engine.buckets() == []
            assert engine.get("key", b"a") is None
            assert engine.get_many("key", [b"a", b"b"]) == [None, None]
            assert engine.range("key", b"", None) == []
            assert 0 <= engine.size_in_use() <= engine.size()

    def test_put_overwrite_delete(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", {b"a": b"1", b"b": b"2"}))
            engine.commit(_put("key", {b"a": b"longer than it was"}))
            assert engine.get("key", b"a") == b"longer than it was"
            assert engine.get("key", b"b") == b"2"
            engine.commit(_delete("key", b"a", b"never there"))
            assert engine.get("key", b"a") is None
            assert engine.range("key", b"", None) == [(b"b", b"2")]

    def test_any_bytes_are_kept(self, tmp_path: Path) -> None:
        every = bytes(range(256))
        rows = {b"\0": b"", b"'\";--": b"\0", every: every, b"k" * 4000: b"v", b"\xff": b"\xfe\xff"}
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", rows))
            assert engine.range("key", b"", None) == sorted(rows.items())
            for key, value in rows.items():
                assert engine.get("key", key) == value

    def test_large_values(self, tmp_path: Path) -> None:
        sizes = [*range(3900, 4200, 50), 16_000, 70_000, LARGE_BYTES]
        rows = {b"%d" % n: n.to_bytes(4, "big") * (n // 4) for n in sizes}
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", rows))
            assert engine.range("key", b"", None) == sorted(rows.items())
            assert engine.size() >= LARGE_BYTES

    def test_get_many_keeps_the_order_asked(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", {_revision(n): b"%d" % n for n in range(300)}))
            asked = [_revision(n * 37 % 320) for n in range(500)]
            got = engine.get_many("key", asked)
            assert got == [engine.get("key", key) for key in asked]
            assert None in got
            assert engine.get_many("key", []) == []

    # --- ranges --------------------------------------------------------------------------------

    def test_ranges_are_half_open_in_byte_order(self, tmp_path: Path) -> None:
        keys = [b"\0", b"\0\0", b"a", b"a\0", b"aa", b"b", b"\x7f", b"\x80", b"\xff", b"\xff\xff"]
        rows: list[Row] = [(key, b"v" + key) for key in keys]
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", dict(reversed(rows))))
            assert engine.range("key", b"", None) == rows
            for start in [b"", *keys, b"\xff\xff\xff"]:
                for end in [None, b"", *keys, b"\xff\xff\xff"]:
                    inside = [r for r in rows if r[0] >= start and (end is None or r[0] < end)]
                    assert engine.range("key", start, end) == inside
                    assert engine.range("key", start, end, 2) == inside[:2]

    def test_scan_pages_through_everything(self, tmp_path: Path) -> None:
        rows = [(_revision(n), b"%d" % n) for n in range(MANY)]
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", dict(rows)))
            with engine.snapshot() as view:
                assert list(view.scan("key")) == rows
                low, high = rows[5][0], rows[2 * SCAN_ROWS][0]
                assert list(view.scan("key", low, high)) == rows[5 : 2 * SCAN_ROWS]
                assert list(view.scan("nothing")) == []

    def test_appending_and_inserting_between(self, tmp_path: Path) -> None:
        even = {_revision(n): b"even" for n in range(0, MANY, 2)}
        odd = {_revision(n): b"odd" for n in range(1, MANY, 2)}
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", even))
            engine.commit(_put("key", odd))
            assert engine.range("key", b"", None) == sorted({**even, **odd}.items())
            engine.commit(_delete("key", *even))
            assert engine.range("key", b"", None) == sorted(odd.items())

    # --- buckets and batches -------------------------------------------------------------------

    def test_buckets_are_apart(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            engine.commit(Batch({"key": {b"a": b"1"}, "authUsers": {b"a": b"2"}, "lease": {}}))
            assert engine.buckets() == ["authUsers", "key", "lease"]
            assert (engine.get("key", b"a"), engine.get("authUsers", b"a")) == (b"1", b"2")
            assert engine.range("lease", b"", None) == []
            engine.commit(_delete("key", b"a"))
            assert engine.buckets() == ["authUsers", "key", "lease"]
            assert engine.get("authUsers", b"a") == b"2"

    def test_dropping_buckets(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            engine.commit(Batch({"key": {b"a": b"1"}, "auth": {b"a": b"1"}, "meta": {b"a": b"1"}}))
            engine.commit(Batch({"auth": {b"b": b"2"}}, {"auth", "key", "never"}))
            assert engine.buckets() == ["auth", "meta"]
            assert engine.get("key", b"a") is None
            assert engine.range("auth", b"", None) == [(b"b", b"2")]
            engine.commit(_put("key", {b"c": b"3"}))
            assert engine.range("key", b"", None) == [(b"c", b"3")]

    def test_a_batch_is_read_not_kept(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            batch = Batch({"key": {b"a": b"1", b"b": None}}, {"meta"})
            before = copy.deepcopy(batch)
            engine.commit(batch)
            assert batch == before
            batch.writes["key"][b"a"] = b"changed afterwards"
            batch.writes["key"][b"z"] = b"added afterwards"
            assert engine.range("key", b"", None) == [(b"a", b"1")]

    def test_an_empty_batch_changes_nothing(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", {b"a": b"1"}))
            engine.commit(Batch())
            assert engine.range("key", b"", None) == [(b"a", b"1")]

    # --- snapshots -----------------------------------------------------------------------------

    def test_a_view_does_not_move(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            states = []
            for n in range(6):
                engine.commit(Batch({"key": {_revision(n): b"1", b"n": b"%d" % n}, f"b{n}": {}}))
                states.append((engine.snapshot(), engine.range("key", b"", None), engine.buckets()))
            engine.commit(_delete("key", _revision(0), _revision(5)))
            engine.commit(Batch({}, {"key", "b2"}))
            for view, rows, buckets in states:
                with view:
                    assert view.range("key", b"", None) == rows
                    assert view.get_many("key", [k for k, _ in rows]) == [v for _, v in rows]
                    assert view.get("key", b"none") is None
                    assert view.buckets() == buckets
                view.close()
            assert engine.range("key", b"", None) == []

    def test_a_view_is_read_on_another_thread_while_commits_go_on(self, tmp_path: Path) -> None:
        rows = [(_revision(n), b"%d" % n) for n in range(MANY)]
        with self.opened(tmp_path) as engine, ThreadPoolExecutor(1) as pool:
            engine.commit(_put("key", dict(rows)))
            with engine.snapshot() as view:
                reading = pool.submit(lambda: list(view.scan("key")))
                n = 0
                while n < 10 or not reading.done():
                    changed = {_revision(row): b"new" for row in range(n % 50, MANY, 50)}
                    engine.commit(_put("key", {**changed, _revision(MANY + n): b"more"}))
                    n += 1
                assert reading.result() == rows

    # --- maintenance ---------------------------------------------------------------------------

    def test_sizes_follow_the_data(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            value = bytes(1000)
            engine.commit(_put("key", {_revision(n): value for n in range(MANY)}))
            full = engine.size()
            assert full >= engine.size_in_use() >= MANY * len(value)
            engine.commit(_delete("key", *map(_revision, range(MANY))))
            assert engine.size_in_use() < full / 2

    def test_defragment_keeps_the_data_and_gives_space_back(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            engine.commit(_put("key", {_revision(n): bytes(1000) for n in range(MANY)}))
            full = engine.size()
            with engine.snapshot() as view:
                engine.commit(_delete("key", *map(_revision, range(1, MANY))))
                engine.defragment()
                assert sum(1 for _ in view.scan("key")) == MANY
            engine.defragment()
            assert engine.size() < full / 2
            assert engine.range("key", b"", None) == [(_revision(0), bytes(1000))]
            engine.commit(_put("key", {b"\xff": b"written afterwards"}))
            assert engine.get("key", b"\xff") == b"written afterwards"

    def test_sync_on_another_thread_while_commits_go_on(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine, ThreadPoolExecutor(1) as pool:
            for n in range(20):
                syncing = pool.submit(engine.sync)
                engine.commit(_put("key", {_revision(n): bytes(100_000)}))
                syncing.result()
            assert len(engine.range("key", b"", None)) == 20
            assert engine.sync_due in (True, False)

    def test_closing_twice_is_harmless(self, tmp_path: Path) -> None:
        engine = self.open_engine(tmp_path / "db")
        engine.close()
        engine.close()

    # --- random histories ----------------------------------------------------------------------

    def test_random_histories(self, tmp_path: Path) -> None:
        from .histories import run_histories

        run_histories(self.open_engine, tmp_path, self.histories_max)


class DurableConformance(EngineConformance):
    """What an engine with `durable = True` promises besides."""

    crash_rounds: ClassVar[int] = 3
    """How many times a committing process is killed."""

    def test_reopening_finds_everything(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            engine.commit(Batch({"key": {b"a": b"1", b"b": b"2"}, "lease": {}, "meta": {}}))
            engine.commit(Batch({"key": {b"b": None}}, {"meta"}))
        with self.opened(tmp_path) as engine:
            assert engine.buckets() == ["key", "lease"]
            assert engine.range("key", b"", None) == [(b"a", b"1")]

    def test_one_owner_at_a_time(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as engine:
            with _refused(DataDirLocked, tmp_path / "db"):
                self.open_engine(tmp_path / "db").close()
            engine.commit(_put("key", {b"a": b"1"}))
        with self.opened(tmp_path) as engine:
            assert engine.get("key", b"a") == b"1"

    def test_nothing_is_created_unasked(self, tmp_path: Path) -> None:
        path = tmp_path / "missing"
        with _refused(StorageError, path):
            self.engine.open(path, EngineOptions(create=False)).close()
        assert not path.exists()

    def test_a_killed_process_leaves_whole_batches(self, tmp_path: Path) -> None:
        from .crash import crash_once

        found = 0
        for n in range(self.crash_rounds):
            last, found = found, crash_once(self.engine, tmp_path / "db", 1 + n * 7 % 40)
            assert found > last
