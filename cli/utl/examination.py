"""Whether the files of a member fit together: what `check` looks at.

First each part by itself (the database's pages, the rows of the store, the tables, the log), then one against the
other. A finding is a problem if a start would refuse it or the member could go wrong with it; what an operator may
want to know, or the next start mends, is a note.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from ...backends.bbolt_check import bbolt_problems
from ...backends.bbolt_file import BboltView
from ...backends.contract import ETCD_BUCKETS, View
from ...backends.sqlite_file import SqliteFileView
from ...errors import StorageError
from ...mvcc.examine import examine
from ...raft.disk import RealDisk
from ...raft.wal.survey import Survey, survey
from .agreement import agreement
from .facts import database_facts, log_facts
from .files import open_member, total_bytes
from .places import Member
from .progress import progress
from .tables import examine_tables

__all__ = ["Finding", "examine_member"]

_ROW_BYTES = 300


@attrs.frozen
class Finding:
    """Something that was found.

    Attributes:
        area: "files", "database", "store", "tables", "log" or "agreement".
        where: the place in it.
        what: what is wrong, and what to do about it.
        note: it is no problem.
    """

    area: str
    where: str
    what: str
    note: bool = False

    def __str__(self) -> str:
        return f"{'note' if self.note else 'problem'}: {self.area}: {self.where}: {self.what}"


def examine_member(member: Member) -> Iterator[Finding]:
    """Look at everything, one finding after the other; to be called by who holds the member's lock."""
    yield from _files(member)
    found = None
    try:
        size = sum(path.stat().st_size for path in member.wal_dir.glob("*.wal"))
        with progress("reading the log", size) as on_bytes:
            found = survey(RealDisk(), member.wal_dir, lambda _, record: on_bytes(len(record.data)))
    except StorageError as error:
        yield Finding("log", str(member.wal_dir), str(error))
    else:
        yield from _log(found)
    try:
        view = open_member(member)
    except StorageError as error:
        yield Finding("database", str(member.db), f"{error}; restore this member from a snapshot")
        return
    with view:
        yield from _database(member, view)
        yield from _agreement(member, view, found)


def _files(member: Member) -> Iterator[Finding]:
    """What crashes and repairs have left behind."""
    leftovers = [
        (member.data_dir, "member.part", "a restore that was interrupted; it may be deleted"),
        (member.snap_dir, "*.part", "a copy that was interrupted; it may be deleted"),
        (
            member.snap_dir,
            "*.tmp",
            "a snapshot that has not arrived whole; the next start deletes it",
        ),
        (member.snap_dir, "*.broken", "a snapshot file that could not be read; it may be deleted"),
        (member.wal_dir, "*.broken", "the copy of a log file from before its torn end was cut off"),
    ]
    for directory, pattern, what in leftovers:
        for path in sorted(directory.glob(pattern)):
            yield Finding("files", str(path), what, note=True)


def _log(found: Survey) -> Iterator[Finding]:
    for problem in found.problems:
        yield Finding("log", "records", problem)
    if found.torn is not None:
        last = found.files[-1]
        what = f"torn at offset {last.end}: {found.torn}; the next start cuts it off"
        yield Finding("log", last.segment.name, what, note=True)


def _database(member: Member, view: View) -> Iterator[Finding]:
    where = str(member.db)
    if isinstance(view, BboltView):
        with progress("checking pages", view.meta.pages) as on_pages:
            problems = bbolt_problems(view, lambda: on_pages(1))
    elif isinstance(view, SqliteFileView):
        problems = view.problems()
    else:
        problems = []
    for problem in problems:
        yield Finding("database", where, f"{problem}; restore this member from a snapshot")
    names = set(view.buckets())
    for name in sorted(set(ETCD_BUCKETS) - names):
        yield Finding("database", where, f"there is no bucket {name} (yet)", note=True)
    for name in sorted(names - set(ETCD_BUCKETS)):
        yield Finding("database", where, f"the bucket {name} is none of etcd's", note=True)
    try:
        with progress("checking rows", total_bytes(view) // _ROW_BYTES) as on_rows:
            for place, what, note in examine(view, on_rows):
                yield Finding("store", place, what, note)
        for place, what, note in examine_tables(view):
            yield Finding("tables", place, what, note)
    except StorageError as error:
        yield Finding("database", where, str(error))


def _agreement(member: Member, view: View, found: Survey | None) -> Iterator[Finding]:
    try:
        log = None if found is None else log_facts(found)
        if log is None or found is None or found.replay is None:
            return
        facts = database_facts(view)
        for place, what, note in agreement(member, view, facts, log, found.replay):
            yield Finding("agreement", place, what, note)
    except StorageError as error:  # the tables have said so already, unless it is the last straw
        yield Finding("agreement", str(member.db), f"cannot be compared with the log: {error}")
