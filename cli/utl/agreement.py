"""The database against the log: whether both tell the same story."""

from __future__ import annotations

from collections.abc import Iterator

from ...backends.contract import View
from ...errors import CorruptData
from ...mvcc.examine import Problem
from ...raft.disk import RealDisk
from ...raft.snapshot_file import load_snapshot, snapshot_name
from ...raft.types import ConfState, EntryType
from ...raft.wal.replay import Replay
from .facts import DatabaseFacts, LogFacts, conf_state_of
from .places import Member

__all__ = ["agreement"]

RESTORE = "restore this member from a snapshot, or remove it and add it to its cluster anew"


def agreement(
    member: Member, view: View, facts: DatabaseFacts, log: LogFacts, replay: Replay
) -> Iterator[Problem]:
    """Compare positions, terms and members."""
    yield from _positions(member, facts, log)
    yield from _terms(facts, log, replay)
    yield from _identity(facts, log)
    yield from _membership(view, facts, log, replay)
    if member.is_etcds:
        yield from _snapshot_file(member, log)


def _positions(member: Member, facts: DatabaseFacts, log: LogFacts) -> Iterator[Problem]:
    """The database must lie between the log's beginning and its end."""
    applied, first, last = facts.consistent_index, log.snapshot.index, log.last_index
    if applied < first:
        received = member.snap_dir / f"{first:016x}.snap.db"
        if received.exists():
            what = (
                f"the snapshot {received.name} is here, but not installed; the next start does it"
            )
            yield Problem("positions", what, note=True)
        else:
            what = f"the database ends at log index {applied}, but the log begins at {first}"
            yield Problem(
                "positions", f"{what}: the database was lost or is an old copy; {RESTORE}"
            )
    elif applied > last:
        what = f"the database is at log index {applied}, but the log ends at {last}"
        yield Problem("positions", f"{what}: the log was lost or is an old copy; {RESTORE}")
    elif applied > log.hard_state.commit:
        what = f"the database is at log index {applied}, the log knows {log.hard_state.commit} as committed"
        yield Problem("positions", f"{what}; that is made good by a start", note=True)


def _terms(facts: DatabaseFacts, log: LogFacts, replay: Replay) -> Iterator[Problem]:
    """The term of the last entry that the database has executed."""
    at = facts.consistent_index - log.snapshot.index - 1
    if at == -1:
        written = log.snapshot.term
    elif 0 <= at < len(replay.entries):
        written = replay.entries[at].term
    else:
        return
    if facts.term and written and facts.term != written:
        yield Problem(
            "terms",
            f"the database has executed index {facts.consistent_index} as of term {facts.term}, the log has"
            f" term {written} there: they are of different histories; {RESTORE}",
        )


def _identity(facts: DatabaseFacts, log: LogFacts) -> Iterator[Problem]:
    if log.member_id in facts.removed:
        what = f"{log.member_id:x}, whose log this is, has been removed from the cluster"
        yield Problem(
            "members", f"{what}: to use it again, remove the directory and add it as a new one"
        )
    elif facts.members and log.member_id not in facts.members:
        what = f"{log.member_id:x}, whose log this is, is none of the members in the database"
        yield Problem("members", f"{what}: the log or the database is another member's; {RESTORE}")


def _membership(
    view: View, facts: DatabaseFacts, log: LogFacts, replay: Replay
) -> Iterator[Problem]:
    """The members in the database and raft's configuration, as the log and the database have it."""
    executed = facts.consistent_index - log.snapshot.index
    changes = any(entry.type != EntryType.NORMAL for entry in replay.entries[: max(executed, 0)])
    by_log = None if changes or executed < 0 else log.snapshot.conf_state
    if by_log is not None and not _same(by_log, facts):
        yield Problem(
            "members",
            f"the log's last snapshot has {_shown(by_log)}, the database {_table(facts)}; {RESTORE}",
        )
    try:
        by_database = conf_state_of(view)
    except CorruptData as error:
        yield Problem("members", str(error))
        return
    if by_database is not None and facts.members and not _same(by_database, facts):
        what = f"the database says {_shown(by_database)} of raft and {_table(facts)} of the cluster"
        if by_log is not None and _same(by_log, facts):
            what += ": etcdutl's restore leaves raft's as it was, until the members change"
            yield Problem("members", what, note=True)
        else:
            yield Problem("members", f"{what}; {RESTORE}")


def _same(state: ConfState, facts: DatabaseFacts) -> bool:
    voters = {member.id for member in facts.members.values() if not member.is_learner}
    learners = {member.id for member in facts.members.values() if member.is_learner}
    if state.voters_outgoing:  # in the middle of a change: either of both
        return voters <= {*state.voters, *state.voters_outgoing}
    return voters == set(state.voters) and learners == set(state.learners)


def _shown(state: ConfState) -> str:
    text = "voters " + " ".join(f"{each:x}" for each in state.voters)
    return text + "".join(f" learner {each:x}" for each in state.learners)


def _table(facts: DatabaseFacts) -> str:
    every = facts.members.values()
    return (
        " ".join(f"{m.id:x}{' (learner)' if m.is_learner else ''}" for m in every) or "no members"
    )


def _snapshot_file(member: Member, log: LogFacts) -> Iterator[Problem]:
    """Up to 3.6, etcd starts from a `.snap` file beside the record in its log."""
    if not log.snapshot.index:
        return
    path = member.snap_dir / snapshot_name(log.snapshot.term, log.snapshot.index)
    if not path.exists():
        what = f"{path.name} is missing, from which etcd up to 3.6 starts (an older one may do)"
        yield Problem("snapshots", what, note=any(member.snap_dir.glob("*.snap")))
        return
    try:
        load_snapshot(RealDisk(), path)
    except CorruptData as error:
        yield Problem("snapshots", str(error))
