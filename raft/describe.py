"""Readable forms of messages, entries and Readys, as etcd-io/raft prints them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

from .codec import decode_conf_change, decode_conf_change_v2
from .ready import Ready
from .state import SoftState
from .types import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NO_NODE,
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    Snapshot,
)

__all__ = [
    "EntryFormatter",
    "describe_conf_change",
    "describe_entries",
    "describe_entry",
    "describe_message",
    "describe_ready",
    "quote",
]

EntryFormatter = Callable[[bytes], str]
"""How to show an entry's data; the default is `quote`."""

_ESCAPES = {
    **{ord(raw): escaped for raw, escaped in zip("\a\b\f\n\r\t\v", "abfnrtv", strict=True)},
    ord('"'): '"',
    ord("\\"): "\\",
}
_STEPS = {
    ConfChangeType.ADD_NODE: "v",
    ConfChangeType.ADD_LEARNER_NODE: "l",
    ConfChangeType.REMOVE_NODE: "r",
    ConfChangeType.UPDATE_NODE: "u",
}
_THREADS = {
    NO_NODE: "None",
    LOCAL_APPEND_THREAD: "AppendThread",
    LOCAL_APPLY_THREAD: "ApplyThread",
}


def quote(data: bytes) -> str:
    """Bytes as a quoted string; what cannot be printed is escaped."""
    out = []
    for char in data.decode("utf-8", "surrogateescape"):
        code = ord(char)
        if code in _ESCAPES:
            out.append("\\" + _ESCAPES[code])
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")  # not UTF-8
        elif char.isprintable():
            out.append(char)
        else:
            wide = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
            out.append(f"\\x{code:02x}" if code < 0x80 else wide)
    return f'"{"".join(out)}"'


def _name(prefix: str, member: enum.Enum) -> str:
    return prefix + member.name.title().replace("_", "")


def _ids(ids: Iterable[int]) -> str:
    return "[" + " ".join(map(str, ids)) + "]"


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _steps(changes: Iterable[ConfChangeSingle]) -> str:
    return " ".join(f"{_STEPS[change.type]}{change.node_id}" for change in changes)


def describe_conf_change(change: ConfChangeV2) -> str:
    """A membership change with its steps."""
    out = "transition:" + _name("ConfChangeTransition", change.transition)
    for step in change.changes:
        out += f" changes:{{type:{_name('ConfChange', step.type)} node_id:{step.node_id}}}"
    return f"{out} context:{quote(change.context)}" if change.context else out


def describe_entry(entry: Entry, formatter: EntryFormatter = quote) -> str:
    """Term, index, type and data; a membership change by its steps, as in `v1 l2 r3`."""
    try:
        if entry.type == EntryType.NORMAL:
            shown = formatter(entry.data)
        elif entry.type == EntryType.CONF_CHANGE:
            shown = _steps(decode_conf_change(entry.data).as_v2().changes)
        else:
            shown = _steps(decode_conf_change_v2(entry.data).changes)
    except ValueError as error:
        shown = str(error)
    head = f"{entry.term}/{entry.index} {_name('Entry', entry.type)}"
    return f"{head} {shown}" if shown else head


def describe_entries(entries: Iterable[Entry], formatter: EntryFormatter = quote) -> str:
    """One line per entry."""
    return "".join(describe_entry(entry, formatter) + "\n" for entry in entries)


def _hard_state(state: HardState) -> str:
    vote = f" Vote:{state.vote}" if state.vote else ""
    return f"Term:{state.term}{vote} Commit:{state.commit}"


def _conf_state(state: ConfState) -> str:
    return (
        f"Voters:{_ids(state.voters)} VotersOutgoing:{_ids(state.voters_outgoing)} "
        f"Learners:{_ids(state.learners)} LearnersNext:{_ids(state.learners_next)} "
        f"AutoLeave:{_flag(state.auto_leave)}"
    )


def _snapshot(snapshot: Snapshot) -> str:
    meta = snapshot.metadata
    return f"Index:{meta.index} Term:{meta.term} ConfState:{_conf_state(meta.conf_state)}"


def _soft_state(state: SoftState) -> str:
    return f"Lead:{state.lead} State:{state.state}"


def _target(node: int) -> str:
    return _THREADS.get(node) or f"{node:x}"


def describe_message(m: Message, formatter: EntryFormatter = quote, indent: str = "") -> str:
    """A message on one line, or on more when it has several entries, a snapshot or responses."""
    out = (
        f"{indent}{_target(m.from_)}->{_target(m.to)} {m.type!s} Term:{m.term} "
        f"Log:{m.log_term}/{m.index}"
    )
    if m.reject:
        out += f" Rejected (Hint: {m.reject_hint})"
    if m.commit:
        out += f" Commit:{m.commit}"
    if m.vote:
        out += f" Vote:{m.vote}"
    if len(m.entries) == 1:
        out += f" Entries:[{describe_entry(m.entries[0], formatter)}]"
    elif m.entries:
        lines = "".join(f"\n{indent}  {describe_entry(e, formatter)}" for e in m.entries)
        out += f" Entries:[{lines}\n{indent}]"
    if m.snapshot is not None and not m.snapshot.empty:
        out += f"\n{indent}  Snapshot: {_snapshot(m.snapshot)}"
    if m.responses:
        lines = "".join(
            "\n" + describe_message(response, formatter, indent + "  ") for response in m.responses
        )
        out += f" Responses:[{lines}\n{indent}]"
    return out


def describe_ready(ready: Ready, formatter: EntryFormatter = quote) -> str:
    """All that a Ready asks for."""
    out = ""
    if ready.soft_state is not None:
        out += _soft_state(ready.soft_state) + "\n"
    if ready.hard_state is not None:
        out += f"HardState {_hard_state(ready.hard_state)}\n"
    if ready.read_states:
        reads = " ".join(f"{{{read.index} {_ids(read.context)}}}" for read in ready.read_states)
        out += f"ReadStates [{reads}]\n"
    if ready.entries:
        out += "Entries:\n" + describe_entries(ready.entries, formatter)
    if ready.snapshot is not None:
        out += f"Snapshot {_snapshot(ready.snapshot)}\n"
    if ready.committed_entries:
        out += "CommittedEntries:\n" + describe_entries(ready.committed_entries, formatter)
    if ready.messages:
        lines = (describe_message(m, formatter) + "\n" for m in ready.messages)
        out += "Messages:\n" + "".join(lines)
    return f"Ready MustSync={_flag(ready.must_sync)}:\n{out}" if out else "<empty Ready>"
