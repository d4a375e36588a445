"""`backend list-buckets`, `backend dump` and `backend hash`: what is in a database."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from ....backends.contract import Row, View
from ....mvcc.hashes import hash_all
from ...common.command import Command, Invocation
from ...common.exits import Failure
from ...common.flags import Flag
from ...common.sizes import human_size
from ..files import open_file, open_member
from ..locks import reading, reading_file
from ..places import find_member
from ..printing import format_of, print_json
from ..rows import decode_row, plain_row

__all__ = ["COMMANDS"]


@contextmanager
def _database(call: Invocation) -> Iterator[tuple[Path, View]]:
    """The file that is meant and its content, which nobody changes meanwhile."""
    path, seconds = Path(call.arguments[0]), call.flags.seconds("timeout")
    if path.is_dir():
        member = find_member(path)
        with reading(member, seconds), open_member(member) as view:
            yield member.db, view
    else:
        with reading_file(path, seconds), open_file(path) as view:
            yield path, view


def list_buckets(call: Invocation) -> None:
    """Names; in other formats with rows and sizes."""
    form = format_of(call, "simple", "json", "table")
    with _database(call) as (_, view):
        names = view.buckets()
        if form == "simple":
            for name in names:
                call.out.line(name)
            return
        found = [(name, *_measure(view.scan(name))) for name in names]
    if form == "json":
        print_json(call, [{"bucket": n, "rows": rows, "bytes": size} for n, rows, size in found])
        return
    from ...common.table import box

    cells = [[name, str(rows), human_size(size)] for name, rows, size in found]
    call.out.write(box(["bucket", "rows", "size"], cells))


def _measure(rows: Iterable[Row]) -> tuple[int, int]:
    count = size = 0
    for key, value in rows:
        count += 1
        size += len(key) + len(value)
    return count, size


def dump(call: Invocation) -> None:
    """The rows of one bucket."""
    as_json = format_of(call, "simple", "json") == "json"
    bucket, limit = call.arguments[1], call.flags.number("limit")
    with _database(call) as (path, view):
        if bucket not in view.buckets():
            raise Failure(f"{path} has no bucket {bucket!r}: known are {', '.join(view.buckets())}")
        for key, value in _rows(view, bucket, limit, reverse=call.flags.switch("reverse")):
            text = decode_row(bucket, key, value) if call.flags.switch("decode") else None
            if as_json:
                record = {"key": key.hex(), "value": value.hex()}
                print_json(call, record if text is None else {**record, "decoded": text})
            else:
                call.out.line(text if text is not None else plain_row(key, value))


def _rows(view: View, bucket: str, limit: int, *, reverse: bool) -> Iterable[Row]:
    rows = view.scan(bucket)
    if reverse:
        return reversed(deque(rows, limit or None))
    return islice(rows, limit or None)


def hash_database(call: Invocation) -> None:
    """The hash over all buckets, as etcd-dump-db has it."""
    as_json = format_of(call, "simple", "json") == "json"
    with _database(call) as (path, view):
        found = hash_all(view)
    if as_json:
        print_json(call, {"path": str(path), "hash": found})
    else:
        call.out.line(f"db path: {path}\nHash: {found}")


_WHERE = "The path is that of a data directory, a database or a snapshot, etcd's or Triode's."
COMMANDS = (
    Command("backend", "backend <subcommand>", "Shows what is in a database"),
    Command(
        "backend list-buckets",
        "list-buckets <path>",
        "Lists all buckets",
        run=list_buckets,
        arguments=(1, 1),
        aliases=("list-bucket",),
        long=_WHERE,
        example="  triodeutl backend list-buckets default.triode -w table",
    ),
    Command(
        "backend dump",
        "dump <path> <bucket>",
        "Lists the rows of a bucket",
        run=dump,
        arguments=(2, 2),
        aliases=("iterate-bucket",),
        long=f"{_WHERE}\nPasswords are left out. etcd-dump-db begins with the last row: that is --reverse.",
        example="  triodeutl backend dump default.triode key --limit 10\n  triodeutl backend dump backup.db lease",
        flags=(
            Flag.unsigned("limit", "show at most so many rows (0: all)"),
            Flag.switch("decode", "show what a row means", default=True),
            Flag.switch("reverse", "begin with the last row"),
        ),
    ),
    Command(
        "backend hash",
        "hash <path>",
        "Prints the hash over all buckets",
        run=hash_database,
        arguments=(1, 1),
        long=f"{_WHERE}\nWhat differs by member (the position in the log) is left out.",
        example="  triodeutl backend hash default.triode",
    ),
)
