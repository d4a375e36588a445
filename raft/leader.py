"""A leader: it takes proposals, counts acknowledgements, commits, and serves reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count, repeat
from typing import TYPE_CHECKING

from . import membership, replication
from .config import ReadOnlyOption
from .errors import InvariantBroken, ProposalDropped
from .sizes import payload_bytes
from .state import ReadState, StateType
from .tracker import Progress, ProgressState
from .types import NO_NODE, Entry, EntryType, Message, MessageType

if TYPE_CHECKING:
    from .raft import Raft

__all__ = ["append", "maybe_commit", "propose", "propose_data", "step", "tick"]

_new_entry: Callable[[type[Entry], tuple[object, ...]], Entry] = tuple.__new__


def step(raft: Raft, m: Message) -> None:
    """Handle one message of this node's term. Raises ProposalDropped."""
    kind = m.type
    handler = _FROM_MEMBER.get(kind)
    if handler is not None:
        progress = raft.tracker.progress.get(m.from_)
        if progress is None:
            raft.logger.debug(f"{raft.id:x} no progress available for {m.from_:x}")
        else:
            handler(raft, m, progress)
    elif kind == MessageType.PROP:
        if not m.entries and m.from_ not in (NO_NODE, raft.id):
            raise ProposalDropped  # another member's fault is not to stop this one
        propose(raft, m.entries)
    elif kind == MessageType.READ_INDEX:
        if len(m.entries) == 1:
            _read_index(raft, m)
    elif kind == MessageType.BEAT:
        replication.broadcast_heartbeat(raft)
    elif kind == MessageType.CHECK_QUORUM:
        _check_quorum(raft)


# --- Time
# -------------------------------------------------------------------------------------------


def tick(raft: Raft) -> None:
    """One unit of time has passed: check the quorum and send heartbeats when they are due."""
    raft.heartbeat_elapsed += 1
    raft.election_elapsed += 1
    if raft.election_elapsed >= raft.config.election_ticks:
        raft.election_elapsed = 0
        if raft.config.check_quorum:
            _check_quorum(raft)
        if raft.state is StateType.LEADER:
            raft.lead_transferee = NO_NODE  # it had an election timeout to take over
    if raft.state is StateType.LEADER and raft.heartbeat_elapsed >= raft.config.heartbeat_ticks:
        raft.heartbeat_elapsed = 0
        replication.broadcast_heartbeat(raft)


def _check_quorum(raft: Raft) -> None:
    """Step down when no quorum has been heard of since the last check (dissertation, 6.2)."""
    if not raft.tracker.quorum_active():
        raft.logger.warning(f"{raft.id:x} stepped down to follower since quorum is not active")
        raft.become_follower(raft.term, NO_NODE)
    for node, progress in raft.tracker.progress.items():
        if node != raft.id:
            progress.recent_active = False


# --- Proposals
# --------------------------------------------------------------------------------------


def propose_data(raft: Raft, batch: Sequence[bytes]) -> tuple[int, int]:
    """Append a batch of the application's entries; their first and last index.

    Raises ProposalDropped for the whole batch.
    """
    _check_may_propose(raft)
    first = raft.log.last_index() + 1
    # The loop over the batch runs in C; making an entry by its class takes twice as long.
    fields = zip(repeat(raft.term), count(first), repeat(EntryType.NORMAL), batch, strict=False)
    append(raft, list(map(_new_entry, repeat(Entry), fields)))
    replication.broadcast_append(raft)
    return first, first + len(batch) - 1


def propose(raft: Raft, proposed: Iterable[Entry]) -> None:
    """Append entries of any type, a membership change only if it is its turn."""
    _check_may_propose(raft)
    entries: list[Entry] = []
    for index, entry in enumerate(proposed, raft.log.last_index() + 1):
        kind, data = entry.type, entry.data
        if kind != EntryType.NORMAL:
            if membership.may_propose(raft, entry):
                raft.pending_conf_index = index
            else:
                kind, data = EntryType.NORMAL, b""
        entries.append(Entry(raft.term, index, kind, data))
    append(raft, entries)
    replication.broadcast_append(raft)


def _check_may_propose(raft: Raft) -> None:
    if raft.id not in raft.tracker.progress:
        raise ProposalDropped  # removed while it leads
    if raft.lead_transferee != NO_NODE:
        raft.logger.debug(
            f"{raft.id:x} [term {raft.term}] transfer leadership to {raft.lead_transferee:x} is "
            "in progress; dropping proposal"
        )
        raise ProposalDropped


def append(raft: Raft, entries: Sequence[Entry]) -> None:
    """Append to the leader's own log. Raises ProposalDropped when too much is uncommitted."""
    if not entries:
        raise InvariantBroken(f"{raft.id:x} stepped empty MsgProp")
    size = payload_bytes(entries)
    # One proposal always gets in, of whatever size; and so do those without payload, which Raft
    # itself makes.
    allowed = raft.uncommitted_bytes_max - raft.uncommitted_bytes
    if raft.uncommitted_bytes > 0 and size > max(allowed, 0):
        raft.logger.warning(
            f"{raft.id:x} appending new entries to log would exceed uncommitted entry size "
            "limit; dropping proposal"
        )
        raise ProposalDropped
    raft.uncommitted_bytes += size
    last = raft.log.append(entries)
    # The leader acknowledges its own entries as well, once they are durable.
    raft.send(Message(MessageType.APP_RESP, to=raft.id, index=last))


def maybe_commit(raft: Raft) -> bool:
    """Commit what a quorum has; whether there was anything new."""
    if not raft.log.maybe_commit(raft.term, raft.tracker.committed()):
        return False
    _release_reads(raft)
    return True


# --- Answers of the others
# --------------------------------------------------------------------------


def _append_answer(raft: Raft, m: Message, progress: Progress) -> None:
    progress.recent_active = True
    if m.reject:
        _rejected(raft, m, progress)
        return
    probing = progress.state is ProgressState.PROBE
    # An answer to a probe may bring no news of the log, but shows that appends arrive again.
    if not progress.maybe_update(m.index) and not (probing and progress.match == m.index):
        return
    if probing:
        progress.become_replicate()
    elif progress.state is ProgressState.REPLICATE:
        progress.inflights.free_to(m.index)
    elif progress.match + 1 >= raft.log.first_index():
        # Whatever snapshot it has got, and from whom: our log goes on from there.
        raft.logger.debug(
            f"{raft.id:x} recovered from needing snapshot, resumed sending replication messages "
            f"to {m.from_:x} [{progress}]"
        )
        progress.become_probe()
        progress.become_replicate()
    if maybe_commit(raft):
        replication.broadcast_append(raft)
    elif m.from_ != raft.id and progress.can_bump_commit(raft.log.committed):
        replication.send_append(raft, m.from_)
    if m.from_ == raft.id:
        return
    # The window may have room for several messages now.
    while replication.send_append(raft, m.from_, send_if_empty=False):
        pass
    if m.from_ == raft.lead_transferee and progress.match == raft.log.last_index():
        raft.logger.info(f"{raft.id:x} sent MsgTimeoutNow to {m.from_:x} after received MsgAppResp")
        raft.send(Message(MessageType.TIMEOUT_NOW, to=m.from_))


def _rejected(raft: Raft, m: Message, progress: Progress) -> None:
    """Look for the place where the logs agree, at most once per term in ours.

    The follower says that it has `log_term` at `reject_hint`, or 0 if it does not know. Where our
    log has a higher term before that place, it cannot agree, for terms only grow along a log. In

        index          1 2 3 4 5 6 7 8 9
        term, leader   1 3 3 3 5 5 5 5 5
        term, follower 1 1 1 1 2 2

    the probe at 9 is rejected with the hint (6, term 2), and we go straight to index 1: at 2 to 6
    our terms are above 2.
    """
    raft.logger.debug(
        f"{raft.id:x} received MsgAppResp(rejected, hint: (index {m.reject_hint}, term "
        f"{m.log_term})) from {m.from_:x} for index {m.index}"
    )
    hint = m.reject_hint
    if m.log_term > 0:
        hint, _ = raft.log.find_conflict_by_term(hint, m.log_term)
    if progress.maybe_decrease_to(m.index, hint):
        raft.logger.debug(f"{raft.id:x} decreased progress of {m.from_:x} to [{progress}]")
        if progress.state is ProgressState.REPLICATE:
            progress.become_probe()
        replication.send_append(raft, m.from_)


def _heartbeat_answer(raft: Raft, m: Message, progress: Progress) -> None:
    progress.recent_active = True
    progress.flow_paused = False
    # Also to a node that has everything but is being probed: its answer ends the probing.
    if progress.match < raft.log.last_index() or progress.state is ProgressState.PROBE:
        replication.send_append(raft, m.from_)
    if m.context and raft.config.read_only_option is ReadOnlyOption.SAFE:
        raft.read_only.acknowledge(m.from_, m.context)
        for request, index in raft.read_only.advance(raft.tracker.config.voters):
            _answer_read(raft, request, index)


def _snapshot_status(raft: Raft, m: Message, progress: Progress) -> None:
    if progress.state is not ProgressState.SNAPSHOT:
        return
    if m.reject:
        progress.pending_snapshot = 0  # else probing would start where it never arrived
    progress.become_probe()
    raft.logger.debug(
        f"{raft.id:x} snapshot {'failed' if m.reject else 'succeeded'}, resumed sending "
        f"replication messages to {m.from_:x} [{progress}]"
    )
    # After success its own answer will come; after failure wait for a heartbeat interval.
    progress.flow_paused = True


def _unreachable(raft: Raft, m: Message, progress: Progress) -> None:
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()  # what was sent ahead is probably lost
    raft.logger.debug(
        f"{raft.id:x} failed to send message to {m.from_:x} because it is unreachable [{progress}]"
    )


def _transfer(raft: Raft, m: Message, progress: Progress) -> None:
    """Hand over to `m.from_` (dissertation, 3.10): bring it up to date, then let it campaign."""
    me, target, previous = raft.id, m.from_, raft.lead_transferee
    if progress.is_learner:
        raft.logger.debug(f"{me:x} is learner. Ignored transferring leadership")
        return
    if previous != NO_NODE:
        if previous == target:
            raft.logger.info(
                f"{me:x} [term {raft.term}] transfer leadership to {target:x} is in progress, "
                f"ignores request to same node {target:x}"
            )
            return
        raft.lead_transferee = NO_NODE
        raft.logger.info(
            f"{me:x} [term {raft.term}] abort previous transferring leadership to {previous:x}"
        )
    if target == me:
        raft.logger.debug(f"{me:x} is already leader. Ignored transferring leadership to self")
        return
    raft.logger.info(f"{me:x} [term {raft.term}] starts to transfer leadership to {target:x}")
    raft.election_elapsed = 0  # it is given up after an election timeout
    raft.lead_transferee = target
    if progress.match == raft.log.last_index():
        raft.send(Message(MessageType.TIMEOUT_NOW, to=target))
        raft.logger.info(
            f"{me:x} sends MsgTimeoutNow to {target:x} immediately as {target:x} already has "
            "up-to-date log"
        )
    else:
        replication.send_append(raft, target)


_FROM_MEMBER: dict[MessageType, Callable[[Raft, Message, Progress], None]] = {
    MessageType.APP_RESP: _append_answer,
    MessageType.HEARTBEAT_RESP: _heartbeat_answer,
    MessageType.SNAP_STATUS: _snapshot_status,
    MessageType.UNREACHABLE: _unreachable,
    MessageType.TRANSFER_LEADER: _transfer,
}


# --- Reads: see `read_only`
# -------------------------------------------------------------------------


def _read_index(raft: Raft, m: Message) -> None:
    if raft.log.term_or_zero(raft.log.committed) != raft.term:
        raft.reads_before_commit.append(m)
    else:
        _begin_read(raft, m)


def _begin_read(raft: Raft, m: Message) -> None:
    # a leader that has been removed may see one voter, too: another one
    alone = raft.tracker.is_singleton and raft.promotable
    if alone or raft.config.read_only_option is ReadOnlyOption.LEASE_BASED:
        _answer_read(raft, m, raft.log.committed)
        return
    raft.read_only.add(m, raft.log.committed)
    raft.read_only.acknowledge(raft.id, raft.read_only.context())
    replication.broadcast_heartbeat(raft)


def _release_reads(raft: Raft) -> None:
    """The first entry of our term is committed: begin the reads that waited for that."""
    if raft.reads_before_commit:
        waiting, raft.reads_before_commit = raft.reads_before_commit, []
        for m in waiting:
            _begin_read(raft, m)


def _answer_read(raft: Raft, request: Message, index: int) -> None:
    if request.from_ in (NO_NODE, raft.id):
        raft.read_states.append(ReadState(index, request.entries[0].data))
    else:
        raft.send(
            Message(
                MessageType.READ_INDEX_RESP,
                to=request.from_,
                index=index,
                entries=request.entries,
            )
        )
