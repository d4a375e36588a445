"""Deliberate bugs. Each is switched on for the length of a `with` block, and must be caught.

A bug sits either in the library, of which a function is replaced, or in what its owner does with a
Ready, of which a method of `Member` is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from triode.raft import HardState, Message, Snapshot, SnapshotMetadata, leader, raw_node
from triode.raft.log import RaftLog
from triode.raft.quorum import JointConfig, committed_index, vote_result
from triode.raft.raft import Raft

from . import member
from .member import Member

__all__ = ["BUGS"]


@contextlib.contextmanager
def _votes_without_persisting() -> Iterator[None]:
    """A node that crashes has forgotten for whom it has voted (Raft, figure 2)."""
    store = Member.store

    def forgetful(self: Member, state: HardState | None, *rest: Any) -> None:
        store(self, None if state is None else state._replace(vote=0), *rest)

    with patch.object(Member, "store", forgetful):
        yield


@contextlib.contextmanager
def _commits_an_older_term_by_counting() -> Iterator[None]:
    """A leader commits whatever a majority has, also of an earlier term (Raft, 5.4.2)."""

    def counting(self: RaftLog, _term: int, index: int) -> bool:
        if index > self.committed:
            self.commit_to(index)
            return True
        return False

    with patch.object(RaftLog, "maybe_commit", counting):
        yield


@contextlib.contextmanager
def _reads_without_a_quorum() -> Iterator[None]:
    """A leader that may have been deposed answers reads by itself (dissertation, 6.4)."""

    def trusting(raft: Raft, m: Message) -> None:
        leader._answer_read(raft, m, raft.log.committed)

    with patch.object(leader, "_begin_read", trusting):
        yield


@contextlib.contextmanager
def _applies_twice() -> Iterator[None]:
    """A snapshot names the entry before its last one, which is then applied again."""
    image = Member.image

    def behind(self: Member) -> Snapshot:
        whole = image(self)
        meta = whole.metadata
        if self.applied <= self.node.raft.log.first_index():
            return whole
        term = self.node.raft.log.term(meta.index - 1)
        return Snapshot(whole.data, SnapshotMetadata(meta.conf_state, meta.index - 1, term))

    with patch.object(Member, "image", behind):
        yield


@contextlib.contextmanager
def _skips_fsync() -> Iterator[None]:
    """What was acknowledged is still in the page cache when the node crashes."""
    with patch.object(Member, "sync", lambda _self: None):
        yield


@contextlib.contextmanager
def _asks_for_votes_before_the_save() -> Iterator[None]:
    """A request for votes leaves with a term that is not durable; see `ready.early_count`."""
    with patch.object(member, "early_count", len), patch.object(raw_node, "early_count", len):
        yield


@contextlib.contextmanager
def _decides_jointly_by_one_half() -> Iterator[None]:
    """In a joint configuration the new voters decide alone (Raft, 6)."""

    def commit(self: JointConfig, acked: Callable[[int], int]) -> int:
        return committed_index(self.incoming, acked)

    def vote(self: JointConfig, votes: Any) -> Any:
        return vote_result(self.incoming, votes)

    with (
        patch.object(JointConfig, "committed_index", commit),
        patch.object(JointConfig, "vote_result", vote),
    ):
        yield


@contextlib.contextmanager
def _votes_for_shorter_logs() -> Iterator[None]:
    """A vote is given whatever log the candidate has (Raft, 5.4.1)."""
    with patch.object(RaftLog, "is_up_to_date", lambda *_: True):
        yield


BUGS: dict[str, tuple[Callable[[], contextlib.AbstractContextManager[None]], int]] = {
    "vote-without-persisting": (_votes_without_persisting, 400),
    "commit-of-an-older-term-by-counting": (_commits_an_older_term_by_counting, 400),
    "read-without-quorum": (_reads_without_a_quorum, 200),
    "apply-twice": (_applies_twice, 30),
    "skip-fsync": (_skips_fsync, 30),
    "votes-asked-for-before-the-save": (_asks_for_votes_before_the_save, 5000),
    "half-of-a-joint-quorum": (_decides_jointly_by_one_half, 1500),
    "vote-for-a-shorter-log": (_votes_for_shorter_logs, 30),
}
"""By name: what switches the bug on, and within how many seeds it is caught at the latest."""
