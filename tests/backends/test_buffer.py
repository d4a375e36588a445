"""The write buffer: what it adds to an engine, and what it keeps when a commit fails."""

from __future__ import annotations

import pytest

from triode.backends.buffer import Backend
from triode.backends.contract import Batch
from triode.backends.memory import MemoryEngine
from triode.errors import DiskFull, StorageError


class FullDisk(MemoryEngine):
    """Refuses to commit while `full`."""

    full = False

    def commit(self, batch: Batch) -> None:
        if self.full:
            raise DiskFull("db: no space")
        super().commit(batch)


@pytest.fixture
def engine() -> FullDisk:
    return FullDisk()


@pytest.fixture
def backend(engine: FullDisk) -> Backend:
    return Backend(engine)


def test_writes_are_read_at_once_and_reach_the_engine_with_the_commit(
    backend: Backend, engine: FullDisk
) -> None:
    backend.put("key", b"a", b"1")
    assert backend.get("key", b"a") == b"1"
    assert engine.get("key", b"a") is None
    backend.commit()
    assert engine.get("key", b"a") == b"1"


def test_a_limited_range_is_full_even_when_deletes_hide_committed_rows(backend: Backend) -> None:
    for n in range(20):
        backend.put("key", b"%02d" % n, b"")
    backend.commit()
    for n in range(0, 12, 2):
        backend.delete("key", b"%02d" % n)
    backend.put("key", b"055", b"between")
    got = [key for key, _ in backend.range("key", b"", None, 6)]
    assert got == [b"01", b"03", b"05", b"055", b"07", b"09"]


def test_keys_written_after_a_range_are_in_the_next(backend: Backend) -> None:
    backend.put("key", b"b", b"")
    assert len(backend.range("key", b"", None)) == 1
    backend.put("key", b"a", b"")
    backend.delete("key", b"b")
    assert backend.range("key", b"", None) == [(b"a", b"")]
    backend.drop_bucket("key")
    backend.put("key", b"c", b"")
    assert backend.range("key", b"", None) == [(b"c", b"")]


def test_hooks_write_into_the_batch_they_precede(backend: Backend, engine: FullDisk) -> None:
    index = 0

    def consistent_index() -> None:
        backend.put("meta", b"consistent_index", b"%d" % index)

    backend.before_commit.append(consistent_index)
    backend.put("key", b"a", b"")
    index = 7
    with backend.snapshot() as view:
        assert view.get("meta", b"consistent_index") == b"7"
        assert view.get("key", b"a") == b""
    index = 8
    backend.close()


def test_nothing_to_write_is_no_transaction(backend: Backend, engine: FullDisk) -> None:
    engine.full = True
    backend.commit()
    backend.put("key", b"a", b"")
    with pytest.raises(DiskFull):
        backend.commit()


def test_full_counts_operations(engine: FullDisk) -> None:
    backend = Backend(engine, batch_limit=3)
    backend.put("key", b"a", b"")
    backend.put("key", b"a", b"again")
    backend.delete("lease", b"b")
    assert (backend.pending_ops, backend.full) == (2, False)
    backend.drop_bucket("auth")
    assert (backend.pending_ops, backend.full) == (3, True)
    backend.commit()
    assert (backend.pending_ops, backend.full) == (0, False)


def test_a_full_disk_keeps_the_batch_readable_and_committable(
    backend: Backend, engine: FullDisk
) -> None:
    backend.put("key", b"a", b"old")
    backend.put("auth", b"x", b"")
    backend.commit()
    engine.full = True
    backend.put("key", b"a", b"new")
    backend.put("key", b"b", b"1")
    backend.drop_bucket("auth")
    for _ in range(2):
        with pytest.raises(DiskFull):
            backend.commit()
    assert backend.range("key", b"", None) == [(b"a", b"new"), (b"b", b"1")]
    assert backend.get_many("auth", [b"x"]) == [None]
    engine.full = False
    backend.commit()
    assert engine.range("key", b"", None) == [(b"a", b"new"), (b"b", b"1")]
    assert engine.buckets() == ["key"]


def test_a_disk_that_fails_is_not_tried_again() -> None:
    """What it holds now nobody knows: a second attempt that seems to work would prove nothing."""
    commits: list[Batch] = []

    class Failing(MemoryEngine):
        def commit(self, batch: Batch) -> None:
            commits.append(batch)
            if len(commits) > 1:
                raise StorageError("cannot commit db: Input/output error")
            super().commit(batch)

    backend = Backend(Failing())
    backend.put("key", b"a", b"old")
    backend.commit()
    backend.put("key", b"a", b"new")
    for again in (backend.commit, backend.commit, backend.sync, backend.snapshot, backend.close):
        with pytest.raises(StorageError, match="cannot commit db: Input/output error"):
            again()
    assert len(commits) == 2
    assert backend.get("key", b"a") == b"new"


def test_closing_closes_the_engine_even_when_the_last_commit_fails(engine: FullDisk) -> None:
    closed = []

    class Closing(FullDisk):
        def close(self) -> None:
            closed.append(True)

    backend = Backend(Closing())
    backend.put("key", b"a", b"")
    Closing.full = True
    with pytest.raises(DiskFull):
        backend.close()
    assert closed
