"""What a node asks of its application, and the order in which it is to be done.

One round is: `ready()`, do it, `advance(ready)`. Within a round

1. write `snapshot`, `entries` and `hard_state` to the log, and make them durable if `must_sync` or
   there is a snapshot; entries that come with a snapshot follow it;
2. only then send `messages`, for they speak of what was written; the first `early` of them promise
   nothing about the own disk, such as a leader's appends and heartbeats, and may be sent before;
3. apply `snapshot`, then `committed_entries`, in this order and each exactly once;
4. serve a read of `read_states` once its index is applied.

With asynchronous storage writes there is no `advance`. Steps 1 and 3 come as messages to two
local threads (`STORAGE_APPEND`, `STORAGE_APPLY`), each of which works in order and delivers a
message's `responses` when that message is done; those that go to this node are stepped. Other
messages may go out at once, but requests for votes only when the `STORAGE_APPEND` of their Ready is
done (see `early_count`). As nothing orders the two threads, entries may come to the applier after a
snapshot has taken their place: it skips those that it has.

Two duties come with a log that is cut. A snapshot is taken, and entries are dropped, only up to a
commit index that is durable in a hard state; else the node would come back with a commit index
before its log. And what `Storage.snapshot` gives is recent: a new member ignores one that does
not name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from .state import ReadState, SoftState
from .types import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Entry,
    HardState,
    Message,
    MessageType,
    Snapshot,
)

if TYPE_CHECKING:
    from .raft import Raft

__all__ = [
    "Ready",
    "append_message",
    "append_response",
    "apply_message",
    "apply_response",
    "early_count",
]


@attrs.define
class Ready:
    """See the module. Nothing in it may be changed."""

    soft_state: SoftState | None = None
    """The leader and the own role, when they changed. Need not be stored."""
    hard_state: HardState | None = None
    """When it changed: to be stored with `entries`, before `messages` are sent."""
    read_states: list[ReadState] = attrs.field(factory=list)
    """Reads that were confirmed."""
    entries: list[Entry] = attrs.field(factory=list)
    """To be stored before `messages` are sent; what is stored from their first index on goes."""
    snapshot: Snapshot | None = None
    """From the leader: to be stored, and to replace the application's state, first of all."""
    committed_entries: list[Entry] = attrs.field(factory=list)
    """To be applied. Some may be among `entries`, and are applied after those are stored."""
    messages: list[Message] = attrs.field(factory=list)
    """To be sent, after the storing. For a SNAP the application must report what came of it."""
    early: int = 0
    """How many of `messages`, from the first on, need not wait for the storing."""
    must_sync: bool = False
    """What is to be stored must be durable before `messages` are sent and `advance` is called; the
    commit index alone need not be, for it is found again."""


def early_count(messages: Sequence[Message]) -> int:
    """How many messages, from the first on, may leave before the Ready is stored.

    A request for votes may not, though the own vote is counted only when it is durable. Were it
    sent first and the node to crash, it would come back in the term before and could campaign for
    the same term again, with a log that has lost its end. The answers to the first request
    would count for it: it could lead without an entry that is committed, or lead one term twice.
    """
    for place, m in enumerate(messages):
        if m.type is MessageType.VOTE:
            return place
    return len(messages)


def append_message(raft: Raft, ready: Ready) -> Message | None:
    """The work of the local log writer, if any, with what is to be delivered afterwards."""
    snapshot, state = ready.snapshot, ready.hard_state
    if not (ready.entries or state or snapshot or raft.msgs_after_append):
        return None
    # Our own acknowledgements come before the news that the entries are stable: to handle them,
    # the terms are still looked up in the unstable log.
    responses = list(raft.msgs_after_append)
    response = append_response(raft, ready)
    if response is not None:
        responses.append(response)
    m = Message(
        MessageType.STORAGE_APPEND,
        to=LOCAL_APPEND_THREAD,
        from_=raft.id,
        entries=ready.entries,
        snapshot=snapshot,
        responses=responses,
    )
    if state is not None:
        m.term, m.vote, m.commit = state
    return m


def append_response(raft: Raft, ready: Ready) -> Message | None:
    """The news that everything written so far is stable.

    It must not be taken for true too early. Say entries A are being written, a new leader's B
    replace them at the same indexes, and then a third leader's A again. When the first write of A
    is reported, the end of the log is A and looks stable, but the write of B is still to come and
    will show for a while. So the message carries the term, and is ignored when that has changed
    in the meantime: within one term nothing is overwritten. Then it could happen that the last
    report is ignored and entries stay unstable for ever; therefore every write reports the *end
    of the unstable log*, not the entries that it carries, and a change of the term is itself a
    write.
    """
    unstable = raft.log.unstable.entries
    if not unstable and ready.snapshot is None:
        return None
    m = Message(
        MessageType.STORAGE_APPEND_RESP,
        to=raft.id,
        from_=LOCAL_APPEND_THREAD,
        term=raft.term,
        snapshot=ready.snapshot,
    )
    if unstable:
        m.log_term, m.index = unstable[-1].term, unstable[-1].index
    return m


def apply_message(raft: Raft, entries: list[Entry]) -> Message:
    """The work of the local applier."""
    return Message(
        MessageType.STORAGE_APPLY,
        to=LOCAL_APPLY_THREAD,
        from_=raft.id,
        entries=entries,
        responses=[apply_response(raft, entries)],
    )


def apply_response(raft: Raft, entries: list[Entry]) -> Message:
    """The news that `entries` are applied. It has no term: what is committed belongs to none."""
    return Message(
        MessageType.STORAGE_APPLY_RESP, to=raft.id, from_=LOCAL_APPLY_THREAD, entries=entries
    )
