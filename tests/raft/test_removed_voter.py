"""A voter that was removed and whose log is ahead: it can neither vote for the candidate nor lead."""

from __future__ import annotations

import pytest

from triode.actors.storage import RestartedLog
from triode.raft.codec import encode_conf_change
from triode.raft.config import Config
from triode.raft.raw_node import RawNode
from triode.raft.state import StateType
from triode.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
)

REMOVED, CANDIDATE = 1, 2


def node_of(member: int, voters: tuple[int, ...], entries: list[Entry], commit: int) -> RawNode:
    """A node whose log begins with `entries` and whose configuration is `voters`."""
    storage = RestartedLog()
    storage.append(entries)
    storage.set_hard_state(HardState(1, 0, commit))
    storage.conf_state = ConfState(voters)
    config = Config(
        id=member,
        storage=storage,
        random_below=lambda _below: 0,
        applied=min(commit, 1),
        pre_vote=True,
        check_quorum=True,
    )
    return RawNode(config)


def exchange(candidate: RawNode, voter: RawNode) -> None:
    """The candidate asks, and hears the answer."""
    candidate.campaign()
    for asking, asked in ((candidate, voter), (voter, candidate)):
        ready = asking.ready()
        for message in ready.messages:
            if message.to == asked.raft.id:
                asked.step(message)
        asking.advance(ready)


@pytest.mark.parametrize(
    ("term", "voters", "known"),
    [(1, (CANDIDATE,), 2), (9, (CANDIDATE,), 1), (1, (REMOVED, CANDIDATE), 1)],
)
def test_a_refusal_says_what_is_committed(term: int, voters: tuple[int, ...], known: int) -> None:
    """To whoever has that entry, and not another in its place. A member does not say it: it can lead itself."""
    removal = ConfChange(ConfChangeType.REMOVE_NODE, REMOVED)
    log = [Entry(1, 1), Entry(1, 2, EntryType.CONF_CHANGE, encode_conf_change(removal))]
    removed = node_of(REMOVED, voters, [*log, Entry(1, 3), Entry(10, 4)], commit=2)
    theirs = log if term == 1 else [log[0], Entry(term, 2)]
    candidate = node_of(CANDIDATE, (REMOVED, CANDIDATE), theirs, commit=1)
    exchange(candidate, removed)
    assert candidate.raft.log.committed == known
    assert candidate.raft.state is not StateType.LEADER
