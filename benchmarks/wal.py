"""The write-ahead log: encoding and writing entries, making them durable, and reading them back.

    python benchmarks/wal.py [--quick] [--directory DIR]

`write` saves batches without a sync: what the log costs in processor time. `durable` syncs each batch:
what the disk allows. `read` opens the log again.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from triode.raft.disk import RealDisk
from triode.raft.types import ConfState, Entry, EntryType, HardState
from triode.raft.wal import WAL, Metadata, WalSnapshot, verify

ENTRY_BYTES = 300
QUICK_SECONDS = 0.2
FULL_SECONDS = 2.0


def _entries(first: int, count: int) -> list[Entry]:
    data = bytes(range(1, 251)) * 2
    return [
        Entry(3, first + k, EntryType.NORMAL, data[k % 100 :][:ENTRY_BYTES]) for k in range(count)
    ]


def _run(wal: WAL, batch: int, seconds: float, *, durable: bool) -> None:
    """Save batches for a while and print the rate."""
    saved, busy, slowest = 0, 0.0, 0.0
    clock = time.perf_counter
    while busy < seconds:
        entries = _entries(wal.last_index + 1, batch)
        state = HardState(3, 1, wal.last_index)
        started = clock()
        wal.save(state, entries)
        if durable:
            wal.sync()
        took = clock() - started
        busy += took
        slowest = max(slowest, took)
        saved += batch
        if wal._offset > wal.segment_bytes:
            wal.sync()  # begins the next file; not counted, as it is not in `write`
            wal.release_to(wal.last_index)
    name = "durable" if durable else "write"
    print(
        f"{name:8} batch {batch:5}: {saved / busy:10,.0f} entries/s  {busy / saved * 1e6:7.2f} µs/entry"
        f"  {busy / saved * batch * 1e6:8.1f} µs/batch  slowest {slowest * 1e3:.2f} ms"
    )


def _read(directory: Path, wal: WAL) -> None:
    disk = RealDisk()
    count = wal.last_index
    wal.close()
    started = time.perf_counter()
    again = WAL.open(disk, directory, WalSnapshot())
    entries = again.read_all().entries
    took = time.perf_counter() - started
    assert len(entries) == count
    print(
        f"read     all        : {count / took:10,.0f} entries/s  {took / count * 1e6:7.2f} µs/entry"
    )
    again.save_snapshot(WalSnapshot(again.hard_state.commit, 3, ConfState(voters=(1,))))
    again.close()
    started = time.perf_counter()
    again = WAL.open(disk, directory)
    again.read_all()
    took = time.perf_counter() - started
    print(f"open     at the newest snapshot, {len(again.segments)} files: {took * 1e3:.0f} ms")
    again.close()
    started = time.perf_counter()
    verify(disk, directory)
    print(f"verify   all        : {(time.perf_counter() - started) * 1e3:.0f} ms")


def main(arguments: list[str] | None = None) -> None:
    """Run all parts and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the time")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; default: here")
    options = parser.parse_args(arguments)
    seconds = QUICK_SECONDS if options.quick else FULL_SECONDS
    directory = Path(tempfile.mkdtemp(prefix=".wal-", dir=options.directory or Path.cwd()))
    try:
        wal = WAL.create(RealDisk(), directory / "wal", Metadata(1, 2).encode())
        for batch in (1, 10, 100, 1000):
            _run(wal, batch, seconds, durable=False)
        wal.sync()
        for batch in (1, 10, 100, 1000):
            _run(wal, batch, seconds, durable=True)
        _read(directory / "wal", wal)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
