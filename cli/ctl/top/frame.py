"""What the view says about a cluster: a few sentences and two tables, as plain text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from .sample import Actor, MemberSample, Rates, Sample

__all__ = ["Frame", "Table", "fitted", "frame_of", "lines_of"]

_NOT_TOLD = "-"
_GAP = "  "
_KILO = 1000.0


@attrs.frozen
class Table:
    """Rows of texts. Columns in `left` are aligned to the left; those in `spare` are left out first, in this order."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[str] = frozenset()
    spare: tuple[str, ...] = ()


@attrs.frozen
class Frame:
    """Everything that is shown at one time. `alarm`: something in the facts wants attention."""

    facts: tuple[tuple[str, str], ...]  # name, text
    tables: tuple[Table, ...]
    alarm: bool = False


def frame_of(sample: Sample, rates: dict[str, Rates]) -> Frame:
    """Put a look at the cluster, and the rates since the one before, into words."""
    tables = [_members(sample, rates)]
    owners = [member for member in sample.members if member.actors]
    actors = [_actors(one, rates.get(one.endpoint, Rates()), len(owners) > 1) for one in owners]
    tables += [table for table in actors if table.rows]
    down = any(member.error or member.errors for member in sample.members)
    return Frame(tuple(_facts(sample, rates)), tuple(tables), bool(sample.alarms) or down)


def lines_of(frame: Frame) -> list[str]:
    """The frame for a pipe or a file."""
    width = max(len(name) for name, _ in frame.facts)
    out = [f"{name:<{width}}  {text}" for name, text in frame.facts]
    for table in frame.tables:
        out += ["", table.title, *_aligned(table)]
    return out


def fitted(table: Table, width: int) -> Table:
    """The table without columns that tell nothing, and without so many others that it is no wider than this."""
    told = [any(row[at] not in ("", _NOT_TOLD) for row in table.rows) for at in _columns(table)]
    table = _only(table, [at for at in _columns(table) if told[at] or not table.rows])
    for name in table.spare:
        if _width(table) <= width:
            break
        table = _only(table, [at for at in _columns(table) if table.header[at] != name])
    return table


def _columns(table: Table) -> range:
    return range(len(table.header))


def _only(table: Table, columns: Sequence[int]) -> Table:
    return attrs.evolve(
        table,
        header=tuple(table.header[at] for at in columns),
        rows=tuple(tuple(row[at] for at in columns) for row in table.rows),
    )


def _width(table: Table) -> int:
    rows = [table.header, *table.rows]
    widest = [max(len(row[at]) for row in rows) for at in _columns(table)]
    return sum(widest) + len(_GAP) * (len(widest) - 1)


def _aligned(table: Table) -> list[str]:
    rows = [table.header, *table.rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.header))]
    left = [name in table.left for name in table.header]
    return [
        _GAP.join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    ]


# --- the cluster --------------------------------------------------------------------------------


def _facts(sample: Sample, rates: dict[str, Rates]) -> list[tuple[str, str]]:
    best, leader = sample.best(), sample.leader()
    out = [("cluster", f"{sample.cluster_id:x}")]
    if best is None:
        out.append(("leader", "no member answers"))
        return out
    if leader is not None:
        out.append(("leader", f"{leader.name or leader.endpoint} ({leader.member_id:x})"))
    else:
        out.append(("leader", f"{best.leader_id:x}" if best.leader_id else "none"))
    out.append(("revision", f"{best.revision}   raft term {best.term}, index {best.index}"))
    out.append(("alarms", ", ".join(sample.alarms) or "none"))
    keys = _number(best.metric("etcd_debugging_mvcc_keys_total"))
    out.append(("keys", f"{keys}   leases {_number(sample.leases)}   {_watchers(sample)}"))
    out.append(("per second", _activity(list(rates.values()))))
    if sample.unasked:
        out.append(("not asked", ", ".join(sample.unasked) + "   (--cluster asks all)"))
    return out


def _watchers(sample: Sample) -> str:
    watchers = _sum(sample.members, "etcd_debugging_mvcc_watcher_total")
    streams = _sum(sample.members, "etcd_debugging_mvcc_watch_stream_total")
    return f"watchers {_number(watchers)} in {_number(streams)} streams"


def _sum(members: Sequence[MemberSample], name: str) -> float | None:
    told = [value for member in members if (value := member.metric(name)) is not None]
    return sum(told) if told else None


def _activity(rates: list[Rates]) -> str:
    """Each member carries out each write, but only the reads and watches that it was asked for."""

    def over(pick: Callable[[Rates], float | None], fold: Callable[[list[float]], float]) -> str:
        told = [value for one in rates if (value := pick(one)) is not None]
        return _rate(fold(told) if told else None)

    return (
        f"puts {over(lambda one: one.puts, max)}   deletes {over(lambda one: one.deletes, max)}   "
        f"reads {over(lambda one: one.reads, sum)}   events {over(lambda one: one.events, sum)}"
    )


# --- tables -------------------------------------------------------------------------------------


_SPARE = (
    "QUOTA",
    "ID",
    "IN USE",
    "APPLIED",
    "VERSION",
    "MEMORY",
    "FSYNC",
    "CPU",
    "WATCHERS",
    "INDEX",
)


def _members(sample: Sample, rates: dict[str, Rates]) -> Table:
    header = (
        "ENDPOINT",
        "NAME",
        "ID",
        "ROLE",
        "VERSION",
        "DB SIZE",
        "IN USE",
        "QUOTA",
        "INDEX",
        "APPLIED",
        "PUTS/S",
        "READS/S",
        "WATCHERS",
        "FSYNC",
        "CPU",
        "MEMORY",
        "ERRORS",
    )
    rows = [_member(one, rates.get(one.endpoint, Rates())) for one in sample.members]
    left = frozenset(("ENDPOINT", "NAME", "ID", "ROLE", "VERSION", "ERRORS"))
    return Table("members", header, tuple(rows), left, _SPARE)


def _member(member: MemberSample, rates: Rates) -> tuple[str, ...]:
    if member.error:
        return (member.endpoint, "", "", "down", *[""] * 12, member.error)
    return (
        member.endpoint,
        member.name,
        f"{member.member_id:x}",
        _role(member),
        member.version,
        _size(member.db_size),
        _size(member.db_in_use),
        _size(member.quota) if member.quota else _NOT_TOLD,
        str(member.index),
        str(member.applied),
        _rate(rates.puts),
        _rate(rates.reads),
        _number(member.metric("etcd_debugging_mvcc_watcher_total")),
        _milliseconds(rates.fsync),
        _NOT_TOLD if rates.cpu is None else f"{rates.cpu:.0%}",
        _size(member.metric("process_resident_memory_bytes")),
        "; ".join(member.errors),
    )


def _role(member: MemberSample) -> str:
    if member.is_leader:
        return "leader"
    return "learner" if member.is_learner else "follower"


def _actors(member: MemberSample, rates: Rates, busy_only: bool) -> Table:
    """The actors; of several members only those that have something to tell."""
    header = ("ACTOR", "STATE", "MESSAGES/S", "WAITING", "MOST", "MAX", "RESTARTS", "LAST ERROR")
    rows = [
        (
            "  " * actor.depth + actor.path.rpartition("/")[2],
            actor.state,
            _rate(rates.messages.get(actor.path)),
            str(actor.mailbox),
            str(actor.mailbox_most),
            str(actor.mailbox_max),
            str(actor.restarts),
            actor.last_error,
        )
        for actor in member.actors
        if not busy_only or _is_busy(actor, rates)
    ]
    left = frozenset(("ACTOR", "STATE", "LAST ERROR"))
    title = f"actors of {member.name or member.endpoint}"
    return Table(title, header, tuple(rows), left, ("MAX", "STATE", "MOST"))


def _is_busy(actor: Actor, rates: Rates) -> bool:
    return bool(
        actor.mailbox or actor.restarts or actor.last_error or rates.messages.get(actor.path)
    )


# --- figures ------------------------------------------------------------------------------------


def _number(value: float | None) -> str:
    return _NOT_TOLD if value is None else f"{value:.0f}"


def _rate(value: float | None) -> str:
    if value is None:
        return _NOT_TOLD
    return f"{value:.1f}" if 0 < value < 100 else f"{value:.0f}"


def _milliseconds(seconds: float | None) -> str:
    return _NOT_TOLD if seconds is None else f"{seconds * 1000:.2f}ms"


def _size(count: float | None) -> str:
    """Decimal units, as all sizes of the tool."""
    if count is None:
        return _NOT_TOLD
    for unit in ("B", "kB", "MB", "GB"):
        if count < _KILO:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= _KILO
    return f"{count:.1f} TB"
