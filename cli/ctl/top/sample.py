"""One look at a cluster, and what two of them say about the time between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from .metrics import Metrics

__all__ = ["Actor", "MemberSample", "Rates", "Sample", "rates_of"]


@attrs.frozen
class Actor:
    """An actor of a Triode member."""

    path: str  # "node/raft"
    depth: int  # in the tree; the root is 0
    state: str
    mailbox: int  # messages that wait
    mailbox_max: int  # its bound
    restarts: int
    mailbox_most: int = 0  # that have ever waited
    handled: int = 0
    last_error: str = ""


@attrs.frozen
class MemberSample:
    """What one endpoint told. `error`: it told nothing, and why."""

    endpoint: str
    error: str = ""
    member_id: int = 0
    name: str = ""
    version: str = ""
    leader_id: int = 0
    is_learner: bool = False
    db_size: int = 0  # bytes
    db_in_use: int = 0
    quota: int = 0
    term: int = 0
    index: int = 0
    applied: int = 0
    revision: int = 0
    errors: tuple[str, ...] = ()
    metrics: Metrics | None = None
    actors: tuple[Actor, ...] = ()

    @property
    def is_leader(self) -> bool:
        return self.member_id != 0 and self.member_id == self.leader_id

    def metric(self, *names: str) -> float | None:
        return self.metrics.get(*names) if self.metrics is not None else None


@attrs.frozen
class Sample:
    """One look at the cluster."""

    at: float  # monotonic, seconds
    cluster_id: int
    members: tuple[MemberSample, ...]
    alarms: tuple[str, ...] = ()
    leases: int | None = None  # None: not told
    unasked: tuple[str, ...] = ()  # names of members that no endpoint belongs to

    def leader(self) -> MemberSample | None:
        """The member that leads, if it was asked."""
        return next((member for member in self.members if member.is_leader), None)

    def best(self) -> MemberSample | None:
        """The member that is furthest ahead."""
        answered = [member for member in self.members if not member.error]
        return max(answered, key=lambda member: (member.term, member.revision), default=None)


@attrs.frozen
class Rates:
    """What a member did, per second. None: not told, or only one look so far."""

    puts: float | None = None
    deletes: float | None = None
    reads: float | None = None
    events: float | None = None
    cpu: float | None = None  # share of one core
    fsync: float | None = None  # mean time, in seconds
    messages: Mapping[str, float] = attrs.Factory(dict)  # of each actor, by its path


_COUNTERS: Final = {
    "puts": ("etcd_mvcc_put_total", "etcd_debugging_mvcc_put_total"),
    "deletes": ("etcd_mvcc_delete_total", "etcd_debugging_mvcc_delete_total"),
    "reads": ("etcd_mvcc_range_total", "etcd_debugging_mvcc_range_total"),
    "events": ("etcd_debugging_mvcc_events_total",),
    "cpu": ("process_cpu_seconds_total",),
}
_FSYNC: Final = "etcd_disk_wal_fsync_duration_seconds"


def rates_of(before: Sample | None, now: Sample) -> dict[str, Rates]:
    """By endpoint. A counter that went back belongs to a new process: nothing is said about it."""
    if before is None or now.at <= before.at:
        return {}
    earlier = {member.endpoint: member for member in before.members}
    seconds = now.at - before.at
    return {
        member.endpoint: _rates(earlier[member.endpoint], member, seconds)
        for member in now.members
        if member.endpoint in earlier
    }


def _rates(before: MemberSample, now: MemberSample, seconds: float) -> Rates:
    if now.member_id != before.member_id:
        return Rates()

    def moved(*names: str) -> float | None:
        first, last = before.metric(*names), now.metric(*names)
        return None if first is None or last is None or last < first else last - first

    def per_second(what: str) -> float | None:
        change = moved(*_COUNTERS[what])
        return None if change is None else change / seconds

    syncs, spent = moved(_FSYNC + "_count"), moved(_FSYNC + "_sum")
    return Rates(
        puts=per_second("puts"),
        deletes=per_second("deletes"),
        reads=per_second("reads"),
        events=per_second("events"),
        cpu=per_second("cpu"),
        fsync=spent / syncs if syncs and spent is not None else None,
        messages=_messages(before, now, seconds),
    )


def _messages(before: MemberSample, now: MemberSample, seconds: float) -> dict[str, float]:
    earlier = {actor.path: actor.handled for actor in before.actors}
    return {
        actor.path: (actor.handled - earlier[actor.path]) / seconds
        for actor in now.actors
        if actor.handled >= earlier.get(actor.path, actor.handled + 1)
    }
