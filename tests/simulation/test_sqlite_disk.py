"""SQLite on a simulated machine: an engine like any other, of whose files a loss of power leaves what a real one may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing

import triode.testing
from triode.backends.conformance import EngineConformance
from triode.backends.contract import Batch, Engine, EngineOptions
from triode.backends.sqlite import SqliteEngine
from triode.errors import CorruptData, DiskFull, StorageError
from triode.testing.errors import PowerLoss
from triode.testing.sqlite_disk import SqliteDisk
from triode.testing.sqlite_files import DatabaseOnDisk, Wal

NAME = "db.simulated"
DB = Path("/m1/member/snap") / NAME
VALUE = bytes(500)


@pytest.fixture
def disk() -> Iterator[SqliteDisk]:
    made = SqliteDisk()
    yield made
    made.remove()


class TestConformance(EngineConformance):
    """What every engine promises."""

    @pytest.fixture(autouse=True)
    def _fresh_disk(self) -> Iterator[None]:
        disk = SqliteDisk()
        TestConformance.engine = disk.engine
        yield
        disk.remove()

    engine = SqliteEngine


def opened(disk: SqliteDisk) -> Engine:
    return disk.engine.open(DB, EngineOptions())


def put(engine: Engine, number: int) -> None:
    name = b"%03d" % number
    engine.commit(Batch({"key": {name: VALUE}, "meta": {b"newest": name}}))


def kept(disk: SqliteDisk) -> int:
    """How many commits are there; none of them without those before it."""
    engine = opened(disk)
    rows = [key for key, _ in engine.range("key", b"", None)]
    assert rows == [b"%03d" % number for number in range(len(rows))]
    assert engine.get("meta", b"newest") == (rows[-1] if rows else None)
    engine.close()
    return len(rows)


def failing(
    wanted: str, error: Callable[[str], StorageError] = StorageError
) -> Callable[[str, Path], None]:
    def before(operation: str, path: Path) -> None:
        if operation == wanted:
            raise error(f"cannot {operation} {path}: Input/output error")

    return before


def nothing(_operation: str, _path: Path) -> None:
    pass


# --- the end of a process, and losses of power ----------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_of_power_leaves_what_was_synced_and_a_prefix_of_the_rest(seed: int) -> None:
    """Also with views that hold a checkpoint up, and over several processes."""
    random = Random(seed)
    disk = SqliteDisk(choose=random.randrange)
    engine, views = opened(disk), []
    written = synced = 0
    for _ in range(40):
        chance = random.random()
        if chance < 0.1:
            engine.sync()
            synced = written
        elif chance < 0.2:
            views.append(engine.snapshot())
        elif chance < 0.25 and views:
            views.pop().close()
        elif chance < 0.3:
            disk.end_process()
            engine = opened(disk)
        put(engine, written)
        written += 1
    disk.crash()
    assert synced <= kept(disk) <= written
    disk.remove()


def test_losses_of_power_leave_different_parts() -> None:
    def left(seed: int) -> int:
        disk = SqliteDisk(choose=Random(seed).randrange)
        engine = opened(disk)
        for number in range(10):
            put(engine, number)
        disk.crash()
        found = kept(disk)
        disk.remove()
        return found

    assert len({left(seed) for seed in range(30)}) > 5


def test_the_end_of_a_process_keeps_everything(disk: SqliteDisk) -> None:
    """Its connections are not closed in an orderly way, which would move all to the main file."""
    engine = opened(disk)
    for number in range(5):
        put(engine, number)
    disk.end_process()
    assert Wal.of(disk.wal_of(NAME)).frames > 5
    assert kept(disk) == 5


@pytest.mark.parametrize(("opened_again", "left"), [(False, 1), (True, 2)])
def test_what_an_earlier_process_did_not_sync_is_synced_at_a_start(
    disk: SqliteDisk, opened_again: bool, left: int
) -> None:
    """Who reads it builds on it; a loss of power without a start between may still take it."""
    engine = opened(disk)
    put(engine, 0)
    engine.sync()
    put(engine, 1)
    disk.end_process()
    if opened_again:
        assert opened(disk).get("key", b"001") == VALUE
    disk.choose = lambda _states: 0
    disk.crash()
    assert kept(disk) == left


def test_closing_makes_it_durable(disk: SqliteDisk) -> None:
    disk.choose = lambda _states: 0
    engine = opened(disk)
    put(engine, 0)
    engine.close()
    disk.crash()
    assert kept(disk) == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_loss_of_power_after_defragmenting(seed: int) -> None:
    """Which writes all anew, makes the file smaller and empties the `-wal`."""
    disk = SqliteDisk(choose=Random(seed).randrange)
    engine = opened(disk)
    for number in range(100):
        put(engine, number)
    engine.commit(Batch({"other": {b"%d" % number: VALUE for number in range(500)}}))
    engine.commit(Batch(dropped={"other"}))
    engine.defragment()
    if seed % 2:
        put(engine, 100)
    disk.crash()
    assert kept(disk) >= 100
    disk.remove()


@pytest.mark.parametrize("end", ["crash", "end_process"])
def test_a_checkpoint_is_interrupted(end: str) -> None:
    """Some pages are in the main file, which is whole only together with the `-wal`."""
    mains = set()
    for seed in range(20):
        disk = SqliteDisk(choose=Random(seed).randrange)
        engine = opened(disk)
        for number in range(60):
            put(engine, number)
            if number == 20:
                engine.sync()
        disk.before = failing("checkpoint", PowerLoss)
        with pytest.raises(PowerLoss):
            engine.sync()
        disk.before = nothing
        getattr(disk, end)()
        mains.add(disk.main_of(NAME))
        assert kept(disk) == 60
        disk.remove()
    assert len(mains) > 5


def test_a_machine_without_power_does_nothing_more(disk: SqliteDisk) -> None:
    """Whoever still has the engine cannot change the files that the next process finds."""
    engine = opened(disk)
    put(engine, 0)
    view = engine.snapshot()

    def dark(operation: str, path: Path) -> None:
        raise PowerLoss(f"cannot {operation} {path}")

    disk.before = dark
    with pytest.raises(PowerLoss):
        put(engine, 1)
    engine.close()
    disk.before = nothing
    disk.end_process()
    view.close()
    assert kept(disk) == 1


# --- failing calls ---------------------------------------------------------------------------------


def test_after_a_failed_sync_pages_are_clean_and_not_on_the_disk() -> None:
    """Only who writes them again makes them durable."""
    disk = SqliteDisk()
    engine = opened(disk)
    put(engine, 0)
    engine.sync()
    put(engine, 1)
    seen = disk.wal_of(NAME)
    database = DatabaseOnDisk(main=disk.main_of(NAME), wal=disk.database(NAME).wal)
    database.wal_sync_failed(seen)
    database.wal_synced(seen)
    newest: Callable[[int], int] = lambda states: states - 1  # noqa: E731
    assert Wal.of(database.lose_power(database.main, seen, newest)[1]).pages == {}
    database.wal_sync_failed(seen)
    database.wal_written(0, len(seen))
    database.wal_synced(seen)
    assert database.lose_power(database.main, seen, lambda _states: 0)[1] == seen
    disk.remove()


@pytest.mark.parametrize("operation", ["commit", "write to"])
def test_a_commit_that_fails_leaves_all_as_it_was(disk: SqliteDisk, operation: str) -> None:
    """Also in the middle of its transaction."""
    engine = opened(disk)
    put(engine, 0)
    disk.before = failing(operation)
    with pytest.raises(StorageError, match="cannot"):
        put(engine, 1)
    disk.before = nothing
    assert engine.get("key", b"001") is None
    put(engine, 1)
    disk.end_process()
    assert kept(disk) == 2


def test_a_full_disk_refuses_in_the_middle_of_a_commit(disk: SqliteDisk) -> None:
    engine = opened(disk)
    put(engine, 0)
    disk.capacity_bytes = 1000
    with pytest.raises(DiskFull):
        put(engine, 1)
    assert [key for key, _ in engine.range("key", b"", None)] == [b"000"]
    disk.capacity_bytes = None
    put(engine, 1)
    disk.end_process()
    assert kept(disk) == 2


@pytest.mark.parametrize("operation", ["open", "snapshot", "sync", "checkpoint", "defragment"])
def test_a_fault_is_what_the_hook_raises(disk: SqliteDisk, operation: str) -> None:
    engine = opened(disk)
    put(engine, 0)
    disk.before = failing(operation)
    calls: dict[str, Callable[[], object]] = {
        "open": lambda: opened(disk),
        "snapshot": engine.snapshot,
        "sync": engine.sync,
        "checkpoint": engine.sync,
        "defragment": engine.defragment,
    }
    with pytest.raises(StorageError, match=f"cannot {operation} {DB}"):
        calls[operation]()


@pytest.mark.parametrize("operation", ["get", "get_many", "range", "view", "replace"])
def test_every_read_can_fail(disk: SqliteDisk, operation: str) -> None:
    engine = opened(disk)
    put(engine, 0)
    view = engine.snapshot()
    disk.before_read = failing(operation)
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: engine.get("key", b"000"),
        "get_many": lambda: engine.get_many("key", [b"000"]),
        "range": lambda: engine.range("key", b"", None),
        "view": lambda: list(view.scan("key")),
        "replace": lambda: engine.replace(view),
    }
    with pytest.raises(StorageError, match=f"cannot {operation} {DB}"):
        calls[operation]()
    disk.before_read = nothing
    assert engine.get("key", b"000") == VALUE
    view.close()


def test_what_is_found_is_told_with_the_path_that_the_node_knows(disk: SqliteDisk) -> None:
    """The real directory has another name in each run, and a trace must not."""
    opened(disk).close()
    disk.end_process()
    (disk.folder / NAME).write_bytes(b"no database" * 5000)
    with pytest.raises(CorruptData) as refused:
        opened(disk)
    assert str(DB) in str(refused.value)
    assert str(disk.folder) not in str(refused.value)


def test_a_flipped_bit_in_the_wal_takes_what_follows_it_along(disk: SqliteDisk) -> None:
    """SQLite tells no torn end from a damaged middle: the backend is older then, and says so by its index."""
    engine = opened(disk)
    for number in range(20):
        put(engine, number)
    disk.end_process()
    disk.choose = lambda states: states // 2
    assert disk.flip(f"{NAME}-wal", 3)
    assert 0 < kept(disk) < 20


def test_nothing_is_left_behind(disk: SqliteDisk) -> None:
    folder = disk.folder
    opened(disk)
    assert folder.exists()
    disk.remove()
    assert not folder.parent.exists()


# --- whole members ---------------------------------------------------------------------------------


async def test_members_on_sqlite_keep_what_they_acknowledged(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Through kills and losses of power of all of them."""
    async with triode.testing.cluster(sqlite=True, snapshot_count=5) as cluster:
        for round_ in range(6):
            async with cluster.connect() as client:
                for number in range(8):
                    await client.put(f"{round_}/{number}", "value")
            for machine in cluster.machines.values():
                await (machine.crash if round_ % 2 else machine.kill)()
            for machine in cluster.machines.values():
                cluster.start(machine)
            for machine in cluster.machines.values():
                await machine.wait_ready()
            await cluster.leader()
        assert (await cluster.client().get(b"\0", b"\0")).count == 48


@pytest.mark.parametrize(("puts", "refused"), [(7, True), (9, False), (12, True), (20, False)])
async def test_a_damaged_wal_is_caught_up_or_refused(
    autojump_clock: trio.testing.MockClock, puts: int, refused: bool
) -> None:
    """The backend falls back: the log has what is missing, or begins later, which the start says."""
    async with triode.testing.cluster(
        1, sqlite=True, seed=puts, snapshot_count=5, snapshot_catchup_entries=1
    ) as cluster:
        machine = cluster.machine(1)
        for number in range(puts):
            await cluster.client(machine).put(b"%d" % number, b"")
            await trio.sleep(0.3)  # a commit of the backend each
        await cluster.kill(machine)
        assert machine.flip_backend("-wal")
        cluster.start(machine)
        await machine.wait_started()
        assert refused == (machine.node is None)
        if refused:
            assert "the backend ends at log index" in repr(machine.failure)
        else:
            await cluster.leader()
            assert (await cluster.client(machine).get(b"\0", b"\0")).count == puts
