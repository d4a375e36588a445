"""A damaged -wal file: what is in front of the damage, or a clear error; never a mixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from triode.backends.contract import Batch, EngineOptions
from triode.backends.sqlite import SqliteEngine
from triode.backends.sqlite_file import SqliteFileView
from triode.backends.sqlite_wal import check_wal
from triode.errors import CorruptData

COMMITS = 30
HEADER, FRAME, PAGE = 32, 24, 16384
Rows = dict[bytes, bytes]


class Files:
    """A database as a kill leaves it: synced after some commits, and all that it has been."""

    def __init__(self, folder: Path, synced_at: set[int]) -> None:
        self.folder = folder
        path = folder / "of"
        random = Random(7)
        self.states: list[Rows] = [{}]
        engine = SqliteEngine.open(path, EngineOptions(create=True))
        for number in range(COMMITS):
            rows = {b"%d" % random.randrange(300): random.randbytes(900) for _ in range(4)}
            rows[b"index"] = b"%d" % number
            engine.commit(Batch({"key": dict(rows)}))
            self.states.append(self.states[-1] | rows)
            if number in synced_at:
                engine.sync()
        self.main, self.wal = path.read_bytes(), path.with_name("of-wal").read_bytes()
        engine.close()

    def write(self, name: str, wal: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(self.main)
        path.with_name(f"{name}-wal").write_bytes(wal)
        return path

    def read(self, name: str, wal: bytes) -> Rows:
        """What an engine finds; raises CorruptData."""
        engine = SqliteEngine.open(self.write(name, wal), EngineOptions(create=False))
        try:
            return dict(engine.range("key", b"", None))
        finally:
            engine.close()


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Files]:
    return lambda *synced_at: Files(tmp_path, set(synced_at))


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def test_a_flipped_bit_never_makes_a_mixture(files: Callable[..., Files]) -> None:
    """The main file has all of the -wal, as after a checkpoint that nothing followed."""
    made = files(10, COMMITS - 1)
    random = Random(3)
    refused = 0
    for number in range(60):
        wal = flipped(made.wal, random.randrange(len(made.wal)), random.randrange(8))
        try:
            assert made.read(f"flipped{number}", wal) in made.states
        except CorruptData:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("part", [0, 4, 8, 16, 20, FRAME + 100])
def test_each_part_of_a_frame_may_be_damaged(files: Callable[..., Files], part: int) -> None:
    """Page number, size, salts, checksums, page."""
    made = files(10, COMMITS - 1)
    at = HEADER + 5 * (FRAME + PAGE) + part
    path = made.write("damaged", flipped(made.wal, at))
    before = path.read_bytes()
    with pytest.raises(
        CorruptData, match=r"damaged-wal: frame 6 is damaged, and damaged has newer"
    ):
        check_wal(path, path.with_name("damaged-wal"))
    with pytest.raises(CorruptData, match="frame 6 is damaged"):
        SqliteFileView(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("synced_at", [(), (10,), (10, COMMITS - 2)])
def test_who_was_not_overtaken_has_what_is_in_front_of_the_damage(
    files: Callable[..., Files], synced_at: tuple[int, ...]
) -> None:
    """So a loss of power may leave it as well, and the log has the rest."""
    made = files(*synced_at)
    random = Random(5)
    for number in range(30):
        wal = flipped(made.wal, random.randrange(len(made.wal)))
        assert made.read(f"flipped{number}", wal) in made.states


def test_a_torn_end_is_none(files: Callable[..., Files]) -> None:
    """Any length of the file, and zeros behind it."""
    made = files(10)
    random = Random(9)
    for number in range(30):
        end = random.randrange(len(made.wal))
        wal = made.wal[:end] + bytes(random.choice((0, len(made.wal) - end)))
        assert made.read(f"torn{number}", wal) in made.states


def test_what_is_whole_is_taken(files: Callable[..., Files]) -> None:
    """All of it in the main file, or none; nothing at all; no file."""
    for synced_at in ((10, COMMITS - 1), (10,)):
        made = files(*synced_at)
        assert made.read("whole", made.wal) == made.states[-1]
        (made.folder / "of").unlink()
    path = made.write("short", b"")
    for wal in (b"", b"\0" * HEADER, b"\xff" * 1000):
        path.with_name("short-wal").write_bytes(wal)
        check_wal(path, path.with_name("short-wal"))
    path.with_name("short-wal").unlink()
    check_wal(path, path.with_name("short-wal"))
