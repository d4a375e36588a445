"""`force-new-cluster`: a member goes on alone with the data that it has. The last resort after a lost quorum.

What is committed is kept, and what is not is dropped: those who knew more of it are gone. Then the other members
are removed by entries that are declared committed; nobody but this member has to agree. Source: etcd's
CreateConfigChangeEnts and bootstrapWALFromSnapshot.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..raft.codec import decode_conf_change, encode_conf_change
from ..raft.types import ConfChange, ConfChangeType, ConfState, Entry, EntryType, HardState
from . import membership_changes as changes
from .member import Member

__all__ = ["Forced", "force_new"]

UNKNOWN_PEER_URL = "http://localhost:2380"  # etcd's for a member that the log does not know


@attrs.frozen
class Forced:
    """What the log becomes.

    Attributes:
        hard_state: commits all of it.
        entries: from the log's beginning: what is kept and what has been added.
        added: those to be written, after which the log's old end is void.
    """

    hard_state: HardState
    entries: list[Entry]
    added: list[Entry]


def force_new(
    member: int,
    start: ConfState,
    entries: Sequence[Entry],
    hard_state: HardState,
    applied_index: int,
) -> Forced:
    """Make `member` the only one.

    Args:
        member: its ID.
        start: the members before the first of `entries`.
        entries: the log after its snapshot.
        hard_state: of the log; its commit index may be behind `applied_index`, as it need not be durable.
        applied_index: of the backend.
    """
    commit = max(hard_state.commit, applied_index)
    kept = [entry for entry in entries if entry.index <= commit]
    voters, learners = _members(start, kept)
    wanted: list[ConfChange] = []
    if member in learners:
        wanted.append(changes.promote(member))
    elif member not in voters:
        wanted.append(changes.add(Member(member, (UNKNOWN_PEER_URL,))))
    # this one first: there must be a voter at any time
    wanted += [changes.remove(other) for other in sorted(voters | learners) if other != member]
    added = [
        Entry(hard_state.term, index, EntryType.CONF_CHANGE, encode_conf_change(change))
        for index, change in enumerate(wanted, commit + 1)
    ]
    last = added[-1].index if added else commit
    return Forced(hard_state._replace(commit=last), kept + added, added)


def _members(start: ConfState, entries: Sequence[Entry]) -> tuple[set[int], set[int]]:
    """Voters and learners after `entries`."""
    voters, learners = set(start.voters), set(start.learners)
    for entry in entries:
        if entry.type is not EntryType.CONF_CHANGE:
            continue
        change = decode_conf_change(entry.data)
        if change.type is ConfChangeType.UPDATE_NODE:
            continue
        voters.discard(change.node_id)
        learners.discard(change.node_id)
        if change.type is ConfChangeType.ADD_NODE:
            voters.add(change.node_id)
        elif change.type is ConfChangeType.ADD_LEARNER_NODE:
            learners.add(change.node_id)
    return voters, learners
