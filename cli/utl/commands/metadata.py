"""`metadata`: who a member is and where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....raft.disk import RealDisk
from ....raft.wal.survey import Survey, survey
from ...common.command import Command, Invocation
from ...common.exits import Failure
from ...common.flags import Flag
from ...common.sizes import human_size
from ..facts import DatabaseFacts, LogFacts, database_facts, log_facts
from ..files import free_bytes, open_member, total_bytes
from ..locks import reading
from ..places import Member, find_member
from ..printing import format_of, print_json

__all__ = ["COMMANDS"]


def metadata(call: Invocation) -> None:
    """Refuses a directory in use."""
    form = format_of(call, "simple", "json", "fields")
    wal_dir = call.flags.text("wal-dir")
    member = find_member(Path(call.arguments[0]), Path(wal_dir) if wal_dir else None)
    with reading(member, call.flags.seconds("timeout")):
        found = survey(RealDisk(), member.wal_dir)
        log = log_facts(found)
        with open_member(member) as view:
            database = database_facts(view)
            sizes = total_bytes(view), free_bytes(view)
    if log is None:
        raise Failure("\n".join(found.problems))
    record = _record(member, found, log, database, sizes)
    if form == "json":
        print_json(call, record)
        return
    for name, value in record.items():
        if name == "members":
            continue
        shown = "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
        if isinstance(value, bool):
            shown = shown.lower()
        call.out.line(f'"{name}" : {shown}' if form == "fields" else f"{name}: {shown}")
    for each in database.members.values():
        role = "learner" if each.is_learner else "voter"
        urls = ",".join(each.peer_urls)
        call.out.line(f"member {each.id:x}: {each.name or '(unstarted)'}, {role}, {urls}")


def _record(
    member: Member,
    found: Survey,
    log: LogFacts,
    database: DatabaseFacts,
    sizes: tuple[int, int | None],
) -> dict[str, Any]:
    mine = database.members.get(log.member_id)
    size, free = sizes
    return {
        "data-dir": str(member.data_dir),
        "wal-dir": str(member.wal_dir),
        "made-by": "etcd" if member.is_etcds else "triode",
        "backend": member.engine,
        "name": mine.name if mine else "",
        "member-id": f"{log.member_id:x}",
        "cluster-id": f"{log.cluster_id:x}",
        "term": log.hard_state.term,
        "vote": f"{log.hard_state.vote:x}",
        "commit-index": log.hard_state.commit,
        "last-index": log.last_index,
        "snapshot-index": log.snapshot.index,
        "consistent-index": database.consistent_index,
        "applied-term": database.term,
        "revision": database.revision,
        "compact-revision": database.compact_revision,
        "storage-version": database.storage_version,
        "cluster-version": database.cluster_version,
        "authentication": database.auth_enabled,
        "alarms": database.alarms,
        "database-size": human_size(size),
        "database-bytes": size,
        "database-free-bytes": free,
        "log-files": len(found.files),
        "members": [each.record() for each in database.members.values()],
    }


COMMANDS = (
    Command(
        "metadata",
        "metadata <data directory>",
        "Prints who a member is and where it stands",
        run=metadata,
        arguments=(1, 1),
        long="Prints the IDs, the position in the log, the revision, versions, alarms and members, from the files alone.",
        example="  triodeutl metadata default.triode\n  triodeutl metadata default.etcd -w json",
        flags=(
            Flag.text("wal-dir", "the log's directory, if it is not inside of the data directory"),
        ),
    ),
)
