"""What the storage engines cost: python -m benchmarks.backends [--quick] [--layouts].

Rows are as etcd's `key` bucket has them: 17-byte keys that grow, values of 300 bytes. A commit is one
batch of 3000 rows from the write buffer, which is what 100 ms of 30 000 puts per second leave.
Times are CPU time, for an engine shares the node's one core, but for the last: how long a sync waits.
`--layouts` compares what sqlite's file could look like instead: page sizes, and tables WITHOUT ROWID.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from triode.backends.bbolt_image import image
from triode.backends.buffer import Backend
from triode.backends.registry import engine_names, open_engine

BATCH_ROWS = 3000
LOOKUPS = 20_000
VALUE = random.Random(1).randbytes(300)


def key(revision: int) -> bytes:
    return revision.to_bytes(8, "big") + b"_" + bytes(8)


def seconds(work: Callable[[], object], clock: Callable[[], float] = process_time) -> float:
    start = clock()
    work()
    return clock() - start


def print_table(head: list[str], rows: Iterable[list[str]]) -> None:
    table = [head, *rows]
    widths = [max(len(row[n]) for row in table) for n in range(len(head))]
    for row in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def measure(name: str, folder: Path, batches: int) -> list[str]:
    """One row of the table: an engine's cost per operation."""
    backend = Backend(open_engine(name, folder / name))
    revisions = batches * BATCH_ROWS
    puts, commits = [], []
    for first in range(0, revisions, BATCH_ROWS):
        keys = [key(first + n) for n in range(BATCH_ROWS)]
        put = backend.put
        start = process_time()
        for each in keys:
            put("key", each, VALUE)
        puts.append(process_time() - start)
        backend.put("meta", b"consistent_index", keys[-1][:8])
        commits.append(seconds(backend.commit))
        if backend.engine.sync_due:
            backend.engine.sync()
    asked = [key(random.randrange(revisions)) for _ in range(LOOKUPS)]
    get = seconds(lambda: [backend.get("key", k) for k in asked])
    parts = [asked[at : at + 1000] for at in range(0, LOOKUPS, 1000)]
    many = seconds(lambda: [backend.get_many("key", part) for part in parts])
    ranges = seconds(lambda: [backend.range("key", k, None, 100) for k in asked[:200]])
    snapshot = seconds(lambda: [backend.snapshot().close() for _ in range(50)])
    with backend.snapshot() as view:
        writing = seconds(lambda: sum(map(len, image(view)[1])))
    sync = seconds(backend.sync, perf_counter)
    size = backend.size()
    backend.close()
    return [
        name,
        f"{median(puts) / BATCH_ROWS * 1e6:.2f}",
        f"{median(commits) * 1e3:.2f}",
        f"{max(commits) * 1e3:.2f}",
        f"{get / LOOKUPS * 1e6:.2f}",
        f"{many / LOOKUPS * 1e6:.2f}",
        f"{ranges / 200 / 100 * 1e6:.2f}",
        f"{snapshot / 50 * 1e6:.0f}",
        f"{writing / revisions * 1e6:.2f}",
        f"{sync * 1e3:.1f}",
        f"{size / 1e6:.1f}",
    ]


HEAD = [
    "engine",
    "put µs",
    "commit ms",
    "worst ms",
    "get µs",
    "get_many µs",
    "range µs/row",
    "snapshot µs",
    "image µs/row",
    "sync ms",
    "size MB",
]


def measure_layout(folder: Path, page: int, rowid: bool, value_bytes: int) -> list[str]:
    """One way to lay a bucket out in SQLite: its cost per batch and per lookup."""
    batches = max(4, min(20, 6000 // value_bytes))
    path = folder / f"{page}-{rowid}-{value_bytes}"
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in (f"page_size={page}", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.execute("PRAGMA cache_size=-65536")
    tail = "" if rowid else "WITHOUT ROWID"
    connection.execute(f"CREATE TABLE key (k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL) {tail}")
    commits = []
    for first in range(0, batches * BATCH_ROWS, BATCH_ROWS):
        rows = [(key(first + n), random.randbytes(value_bytes)) for n in range(BATCH_ROWS)]
        start = process_time()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO key VALUES (?, ?)", rows)
        connection.execute("COMMIT")
        commits.append(process_time() - start)
    asked = [key(random.randrange(batches * BATCH_ROWS)) for _ in range(5000)]
    sql = "SELECT v FROM key WHERE k = ?"
    get = seconds(lambda: [connection.execute(sql, (k,)).fetchone() for k in asked])
    connection.close()
    data = batches * BATCH_ROWS * (value_bytes + 17)
    return [
        str(value_bytes),
        str(page),
        "rowid" if rowid else "WITHOUT ROWID",
        f"{median(commits) * 1e3:.1f}",
        f"{get / 5000 * 1e6:.1f}",
        f"{path.stat().st_size / data:.2f}",
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure every installed engine and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer batches")
    parser.add_argument("--layouts", action="store_true", help="compare layouts of sqlite's file")
    options = parser.parse_args(arguments)
    # Beside the source rather than in /tmp, which may be memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        batches = 6 if options.quick else 40
        print_table(HEAD, (measure(name, Path(folder), batches) for name in engine_names()))
        if options.layouts:
            print()
            sizes = (256, 4096) if options.quick else (256, 1024, 4096)
            print_table(
                ["value bytes", "page bytes", "table", "commit ms", "get µs", "file / data"],
                (
                    measure_layout(Path(folder), page, rowid, value_bytes)
                    for value_bytes in sizes
                    for page in (4096, 8192, 16384)
                    for rowid in (True, False)
                ),
            )


if __name__ == "__main__":
    main()
