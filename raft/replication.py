"""What a leader sends to the others: entries, snapshots, heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InvariantBroken, LogCompacted, LogUnavailable, SnapshotTemporarilyUnavailable
from .sizes import payload_bytes
from .tracker import Progress, ProgressState
from .types import Entry, Message, MessageType

if TYPE_CHECKING:
    from .raft import Raft

__all__ = ["broadcast_append", "broadcast_heartbeat", "send_append"]


Shared = dict[int, tuple[list[Entry], int]]
"""By the index before them: the entries to send from there on, and the size of their payload."""


def broadcast_append(raft: Raft, *, send_if_empty: bool = True) -> None:
    """Send to every other node what it lacks."""
    shared: Shared = {}  # most lack the same
    for node in raft.tracker.progress:
        if node != raft.id:
            send_append(raft, node, send_if_empty=send_if_empty, shared=shared)


def send_append(
    raft: Raft, to: int, *, send_if_empty: bool = True, shared: Shared | None = None
) -> bool:
    """Send the next entries, or a snapshot; whether anything was sent.

    An empty append tells the commit index, and probes; with several sends in a row only the first
    needs that. `shared` keeps what was read from the log for others in the same round.
    """
    progress = raft.tracker.progress[to]
    if progress.paused or not (send_if_empty or progress.next <= raft.log.last_index()):
        return False
    previous = progress.next - 1
    entries: list[Entry] = []
    size = 0
    try:
        previous_term = raft.log.term(previous)
        # When the window is full, still send empty appends now and then: should all of
        # its messages have been lost, an answer to one of these clears it.
        if progress.state is not ProgressState.REPLICATE or not progress.inflights.full:
            known = shared.get(previous) if shared else None
            if known is None:
                entries = raft.log.entries_from(previous + 1, raft.config.message_bytes_max)
                size = payload_bytes(entries)
                if shared is not None:
                    shared[previous] = entries, size
            else:
                entries, size = known
    except (LogCompacted, LogUnavailable):
        return _send_snapshot(raft, to, progress)
    if not entries and not send_if_empty:
        return False
    raft.send(
        Message(
            MessageType.APP,
            to=to,
            index=previous,
            log_term=previous_term,
            entries=entries,
            commit=raft.log.committed,
        )
    )
    progress.sent_entries(len(entries), size)
    progress.sent_commit = raft.log.committed
    return True


def _send_snapshot(raft: Raft, to: int, progress: Progress) -> bool:
    if not progress.recent_active:
        raft.logger.debug(f"ignore sending snapshot to {to:x} since it is not recently active")
        return False
    try:
        snapshot = raft.log.snapshot()
    except SnapshotTemporarilyUnavailable:
        raft.logger.debug(
            f"{raft.id:x} failed to send snapshot to {to:x} because snapshot is temporarily "
            "unavailable"
        )
        return False
    if snapshot.empty:
        raise InvariantBroken("need non-empty snapshot")
    meta = snapshot.metadata
    raft.logger.debug(
        f"{raft.id:x} [firstindex: {raft.log.first_index()}, commit: {raft.log.committed}] sent "
        f"snapshot[index: {meta.index}, term: {meta.term}] to {to:x} [{progress}]"
    )
    progress.become_snapshot(meta.index)
    raft.logger.debug(f"{raft.id:x} paused sending replication messages to {to:x} [{progress}]")
    raft.send(Message(MessageType.SNAP, to=to, snapshot=snapshot))
    return True


def broadcast_heartbeat(raft: Raft) -> None:
    """Keep the others from campaigning, and ask whether we still lead if a read waits for that."""
    context = raft.read_only.context()
    for node, progress in raft.tracker.progress.items():
        if node == raft.id:
            continue
        # Not our commit index: the node may not have those entries, or others in their place.
        commit = min(progress.match, raft.log.committed)
        raft.send(Message(MessageType.HEARTBEAT, to=node, commit=commit, context=context))
        progress.sent_commit = commit
