"""`wal dump` and `wal verify`: a member's log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ....errors import CorruptData
from ....raft.disk import RealDisk
from ....raft.wal import Segment
from ....raft.wal.reader import Record
from ....raft.wal.survey import Survey, survey
from ...common.command import Command, Invocation
from ...common.exits import BAD_ARGUMENTS, ERROR, Failure
from ...common.flags import Flag
from ...common.sizes import human_size
from ..locks import reading
from ..log_records import Wanted, entry_kinds, line_of
from ..places import find_member
from ..printing import format_of, print_json

__all__ = ["COMMANDS"]

WAL_DIR: Final = Flag.text(
    "wal-dir", "the log's directory, if it is not inside of the data directory"
)


@contextmanager
def _log_of(call: Invocation) -> Iterator[Path]:
    """The directory of the log, which nobody uses meanwhile."""
    wal_dir = call.flags.text("wal-dir")
    if not call.arguments:
        if not wal_dir:
            raise Failure("a data directory is needed, or --wal-dir", BAD_ARGUMENTS)
        yield Path(wal_dir)
        return
    member = find_member(Path(call.arguments[0]), Path(wal_dir) if wal_dir else None)
    with reading(member, call.flags.seconds("timeout")):
        yield member.wal_dir


def dump(call: Invocation) -> int:
    """A line for each record."""
    as_json = format_of(call, "simple", "json") == "json"
    kinds = [kind for kind in call.flags.text("entry-type").split(",") if kind]
    if unknown := sorted(set(kinds) - set(entry_kinds())):
        known = ", ".join(entry_kinds())
        raise Failure(f"entry-type {unknown[0]!r} is none of: {known}", BAD_ARGUMENTS)
    flags = call.flags
    end = flags.number("end-index") if flags.changed("end-index") else sys.maxsize
    wanted = Wanted(kinds, flags.number("start-index"), end)
    shown = 0

    def show(segment: Segment, record: Record) -> None:
        nonlocal shown
        try:
            line = line_of(segment, record, wanted)
        except ValueError as error:
            raise CorruptData(f"{segment.name} at offset {record.offset}: {error}") from None
        if line is None:
            return
        shown += 1
        if as_json:
            print_json(call, line.record)
        else:
            call.out.line(line.tabbed())

    with _log_of(call) as directory:
        if not as_json:
            call.out.line("term\t     index\ttype\tdata")
        found = survey(RealDisk(), directory, show)
    if not as_json:
        call.out.line(f"\n{shown} records shown, of {sum(file.records for file in found.files)}")
        _say_torn(call, found)
    return _end(call, found)


def verify(call: Invocation) -> int:
    """What is wrong with it, and where."""
    as_json = format_of(call, "simple", "json") == "json"
    with _log_of(call) as directory:
        found = survey(RealDisk(), directory)
    if as_json:
        print_json(call, _record(found))
        return ERROR if found.problems else 0
    for file in found.files:
        call.out.line(
            f"{file.segment.name}: {file.records} records in {human_size(file.end)} of {human_size(file.bytes)}"
        )
    if found.replay is not None:
        state, start = found.replay.hard_state, found.replay.snapshot
        last = start.index + len(found.replay.entries)
        call.out.line(
            f"snapshot at index {start.index} (term {start.term}), entries up to {last};"
            f" term {state.term}, vote {state.vote:x}, commit {state.commit}"
        )
    _say_torn(call, found)
    code = _end(call, found)
    if not code:
        call.out.line("the log is sound")
    return code


def _record(found: Survey) -> dict[str, object]:
    record: dict[str, object] = {
        "files": [
            {"name": f.segment.name, "bytes": f.bytes, "records": f.records, "end": f.end}
            for f in found.files
        ],
        "problems": found.problems,
        "torn": found.torn,
    }
    if found.replay is not None:
        state, start = found.replay.hard_state, found.replay.snapshot
        record |= {"snapshotIndex": start.index, "snapshotTerm": start.term}
        record |= {"lastIndex": start.index + len(found.replay.entries)}
        record |= {"term": state.term, "vote": f"{state.vote:x}", "commit": state.commit}
    return record


def _say_torn(call: Invocation, found: Survey) -> None:
    if found.torn is not None:
        last = found.files[-1]
        call.out.line(
            f"{last.segment.name}: torn at offset {last.end}: {found.torn}; nothing after it was"
            " promised to anybody, and the next start cuts it off (keeping a copy, .broken)"
        )


def _end(call: Invocation, found: Survey) -> int:
    if not found.problems:
        return 0
    call.out.flush()
    raise Failure("\n".join(found.problems))


_EXAMPLE = (
    "  triodeutl wal dump default.triode\n"
    "  triodeutl wal dump default.etcd --start-index 100 --entry-type IRRPut,IRRTxn -w json"
)
COMMANDS = (
    Command("wal", "wal <subcommand>", "Shows and checks the log of a member"),
    Command(
        "wal dump",
        "dump <data directory> [options]",
        "Prints every record of the log, one line each",
        run=dump,
        arguments=(0, 1),
        long=(
            "Prints term, index, kind and content of each record, of etcd's logs and of Triode's. Passwords and tokens are\n"
            "left out. With -w json each line is an object, with the file and the offset of the record.\n"
            "Entry types: ConfigChange, Normal, Request, InternalRaftRequest, one for each request (IRRPut, IRRTxn, …),\n"
            "and the other records: Metadata, State, Snapshot, CRC."
        ),
        example=_EXAMPLE,
        flags=(
            WAL_DIR,
            Flag.unsigned("start-index", "the first index to show"),
            Flag.unsigned("end-index", "the index to stop before"),
            Flag.text("entry-type", "show these types only, comma-separated"),
        ),
    ),
    Command(
        "wal verify",
        "verify <data directory> [options]",
        "Checks the log, and says what is wrong with it and where",
        run=verify,
        arguments=(0, 1),
        long=(
            "Reads all files: frames, the chain of checksums over all of them, missing files, gaps in the entries, terms and\n"
            "commit indexes that go back, what a crash has torn. It changes nothing. The exit code is 1 if anything is\n"
            "wrong that a start would not mend."
        ),
        example="  triodeutl wal verify default.triode\n  triodeutl wal verify --wal-dir /fast/wal",
        flags=(WAL_DIR,),
    ),
)
