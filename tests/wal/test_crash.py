"""Whatever a crash or a flipped bit does, reading gives a state that the log was in, or CorruptData.

The model is a list of records. `Recorder` writes through a log and notes each record and how many
were synced; `expected` says, from a prefix of that list, what reading must give.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triode.errors import CorruptData, StorageError
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.types import ConfState, Entry, HardState
from triode.raft.wal import WAL, Contents, Metadata, WalSnapshot

DIRECTORY = Path("/data/wal")
METADATA = Metadata(1, 2).encode()
HEADER_BYTES = 40  # its crc and metadata records
VOTERS = ConfState(voters=(1,))
ModelRecord = Entry | HardState | WalSnapshot
View = tuple[HardState, list[Entry]]

# (kind, number, number); what they mean depends on the state of the log.
OPERATIONS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers(0, 1 << 16)), max_size=25
)


def value(number: int) -> bytes:
    """Entry data of many lengths, some of it zeros."""
    length = number % 701
    return (b"\0" if number % 3 == 0 else b"%d" % number)[:1] * length


class Recorder:
    def __init__(self, disk: SimulatedDisk, segment_bytes: int) -> None:
        self.disk = disk
        self.segment_bytes = segment_bytes
        self.records: list[ModelRecord] = [WalSnapshot()]
        self.synced = 0
        self.state = HardState(1, 0, 0)
        disk.make_dir(DIRECTORY.parent)
        self.wal = WAL.create(disk, DIRECTORY, METADATA, segment_bytes=segment_bytes)
        self.synced = 1

    def run(self, operations: list[tuple[int, int, int]]) -> None:
        for kind, a, b in operations:
            if kind <= 4:
                self.save(1 + a % 4, value(b), back=0)
            elif kind == 5:
                self.state = self.state._replace(term=self.state.term + 1)
                self.save(1, value(b), back=a)
            elif kind <= 7:
                self.sync()
            elif kind == 8:
                self.snapshot(ahead=0)
            else:
                self.snapshot(ahead=a)

    def save(self, count: int, data: bytes, back: int) -> None:
        """Append entries, replacing up to `back` that are not committed."""
        first = max(self.state.commit, self.wal.last_index - back) + 1
        term = self.state.term
        entries = [Entry(term, first + k, data=data + b"%d" % k) for k in range(count)]
        state = HardState(term, 1, max(self.state.commit, first - 1))
        self.records += [*entries, state]
        self.wal.save(state, entries)
        self.state = state

    def sync(self) -> None:
        count = len(self.records)
        self.wal.sync()
        self.synced = count

    def snapshot(self, ahead: int) -> None:
        """Of our own state at the commit index, or one `ahead` of the log from a leader."""
        if ahead == 0:
            index, term = self.state.commit, self.log().get(self.state.commit, Entry()).term
            if term == 0:
                return
        else:
            index, term = self.wal.last_index + ahead, self.state.term
        self.records.append(WalSnapshot(index, term, VOTERS))
        self.wal.save_snapshot(WalSnapshot(index, term, VOTERS))
        self.synced = len(self.records)
        if ahead:
            self.state = HardState(self.state.term, 1, index)
            self.records.append(self.state)
            self.wal.save(self.state, [])

    def log(self) -> dict[int, Entry]:
        log: dict[int, Entry] = {}
        for record in self.records:
            if isinstance(record, Entry):
                log = {index: log[index] for index in log if index < record.index}
                log[record.index] = record
        return log

    def states(self, start: int = 1) -> list[View]:
        """What may be read when the first n records are there, for all n from `start` on."""
        return [expected(self.records[:n]) for n in range(start, len(self.records) + 1)]


def expected(records: list[ModelRecord]) -> View:
    state = next((r for r in reversed(records) if isinstance(r, HardState)), HardState())
    chosen = next(
        r for r in reversed(records) if isinstance(r, WalSnapshot) and r.index <= state.commit
    )
    log: dict[int, Entry] = {}
    for record in records:
        if isinstance(record, Entry):
            log = {index: log[index] for index in log if index < record.index}
            log[record.index] = record
        elif record == chosen and log.get(chosen.index, Entry()).term != chosen.term:
            log.clear()
    return state, [log[index] for index in sorted(log) if index > chosen.index]


def read(disk: SimulatedDisk, segment_bytes: int) -> tuple[WAL, View]:
    wal = WAL.open(disk, DIRECTORY, segment_bytes=segment_bytes)
    contents: Contents = wal.read_all()
    assert contents.metadata == METADATA
    return wal, (contents.hard_state, contents.entries)


@settings(max_examples=150, deadline=None)
@given(OPERATIONS, st.sampled_from([1, 700, 4096, 100_000]))
def test_what_was_saved_is_read(operations: list[tuple[int, int, int]], segment_bytes: int) -> None:
    recorder = Recorder(SimulatedDisk(), segment_bytes)
    recorder.run(operations)
    recorder.wal.close()
    wal, view = read(recorder.disk, segment_bytes)
    assert view == expected(recorder.records)
    assert wal.repaired is None


class PowerLoss(StorageError):
    pass


@contextlib.contextmanager
def power_loss(disk: SimulatedDisk, operations: int) -> Iterator[None]:
    """Lose power before the given operation of the disk, or at the end of the block."""
    left = operations

    def before(_operation: str, path: Path) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise PowerLoss(str(path))

    disk.before = before
    with contextlib.suppress(PowerLoss):
        yield
    disk.before = lambda _operation, _path: None
    disk.crash()


@settings(max_examples=150, deadline=None)
@given(OPERATIONS, st.randoms(use_true_random=False))
def test_what_was_read_is_durable(
    operations: list[tuple[int, int, int]], choices: random.Random
) -> None:
    """A process dies and is started again; then the power is lost."""
    disk = SimulatedDisk(choose=choices.randrange)
    recorder = Recorder(disk, 4096)
    recorder.run(operations)
    _, view = read(disk, 4096)
    assert view == expected(recorder.records)
    disk.crash()
    _, again = read(disk, 4096)
    assert again == view


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    OPERATIONS,
    st.sampled_from([1, 700, 4096, 100_000]),
    st.integers(1, 150),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_a_crash_loses_only_what_was_not_synced(
    operations: list[tuple[int, int, int]],
    segment_bytes: int,
    power_lost_at: int,
    power_lost_again_at: int,
    choices: random.Random,
) -> None:
    disk = SimulatedDisk(choose=choices.randrange)
    recorder = Recorder(disk, segment_bytes)
    with power_loss(disk, power_lost_at):
        recorder.run(operations)
    for _ in range(2):  # once more while the log is read, and perhaps repaired
        with power_loss(disk, power_lost_again_at):
            read(disk, segment_bytes)

    wal, view = read(disk, segment_bytes)
    assert view in recorder.states(recorder.synced)
    # What is saved from here on follows it.
    assert wal.snapshot is not None
    last = wal.snapshot.index + len(view[1])
    term = max(view[0].term, 1)
    extra = Entry(term + 1, last + 1, data=b"after the crash")
    wal.save(HardState(term + 1, 1, view[0].commit), [extra])
    wal.sync()
    disk.crash()
    wal, again = read(disk, segment_bytes)
    assert again == (HardState(term + 1, 1, view[0].commit), [*view[1], extra])
    assert wal.repaired is None


def _filled(*, snapshot: bool) -> Recorder:
    """Three small files, all of which are read, unless there is a snapshot in the last one."""
    recorder = Recorder(SimulatedDisk(), 3000)
    numbers = random.Random(5)
    while len(recorder.wal.segments) < 3:
        for kind in (0, 1, 5, 2, 0, 0, 6):
            recorder.run([(kind, numbers.randrange(4), numbers.randrange(1 << 16))])
    for kind in (1, 5, 8 if snapshot else 2, 0, 1):
        recorder.run([(kind, 0, 3 * numbers.randrange(60, 200))])
    recorder.sync()
    assert len(recorder.wal.segments) == 3
    return recorder


def _damaged(recorder: Recorder, damage: Callable[[SimulatedDisk], None]) -> View | None:
    """Read a copy of the files after some damage; None if it was noticed."""
    disk = SimulatedDisk()
    disk.make_dir(DIRECTORY)
    for name in recorder.disk.list_dir(DIRECTORY):
        disk.open(DIRECTORY / name, create=True).write_at(0, recorder.disk.read(DIRECTORY / name))
    damage(disk)
    try:
        _, view = read(disk, recorder.segment_bytes)
    except CorruptData:
        return None
    return view


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_last_file_that_ends_anywhere_gives_a_prefix(snapshot: bool) -> None:
    recorder = _filled(snapshot=snapshot)
    path = DIRECTORY / recorder.wal.segments[-1].name
    states = recorder.states()
    lengths = set()
    for size in range(0, recorder.wal._offset + 20, 1 if snapshot else 7):
        view = _damaged(recorder, lambda disk, size=size: disk.open(path).truncate(size))  # type: ignore[misc]
        assert view is None or view in states
        # Only a file without its header, which a crash cannot leave, is refused.
        assert (view is None) == (size < HEADER_BYTES)
        lengths.add(-1 if view is None else states.index(view))
    assert len(lengths) > 5


@pytest.mark.parametrize("number", [0, 1])
def test_an_earlier_file_that_ends_too_early_is_refused(number: int) -> None:
    recorder = _filled(snapshot=False)
    path = DIRECTORY / recorder.wal.segments[number].name
    for size in range(0, len(recorder.disk.read(path)), 5):
        assert (
            _damaged(recorder, lambda disk, size=size: disk.open(path).truncate(size))  # type: ignore[misc]
            is None
        )


@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_file_is_refused(number: int) -> None:
    recorder = _filled(snapshot=False)
    path = DIRECTORY / recorder.wal.segments[number].name
    assert _damaged(recorder, lambda disk: disk.remove(path)) is None


def _flips(*, every: int, snapshot: bool, bits: range = range(8)) -> None:
    recorder = _filled(snapshot=snapshot)
    states = recorder.states()
    outcomes = {"noticed": 0, "harmless": 0, "cut": 0}
    count = 0
    for number, segment in enumerate(recorder.wal.segments):
        path = DIRECTORY / segment.name
        for offset in range(len(recorder.disk.read(path))):
            for bit in bits:
                count += 1
                if count % every:
                    continue
                view = _damaged(recorder, lambda disk: disk.flip(path, offset, bit))  # noqa: B023
                assert view is None or view in states, (segment.name, offset, bit)
                if view is None:
                    outcomes["noticed"] += 1
                elif view == states[-1]:
                    outcomes["harmless"] += 1
                else:
                    assert number == 2, "only the end of the last file may be cut off"
                    outcomes["cut"] += 1
    if not snapshot:
        assert outcomes["noticed"] > 0.7 * count / every
    assert outcomes["cut"] < 0.1 * count / every


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_flipped_bit_is_never_taken_for_data(snapshot: bool) -> None:
    _flips(every=83, snapshot=snapshot)


@pytest.mark.long
@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_is_taken_for_data(snapshot: bool, bit: int) -> None:
    _flips(every=1, snapshot=snapshot, bits=range(bit, bit + 1))
