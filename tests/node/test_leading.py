"""When a member acts as the leader."""

from __future__ import annotations

import trio
import trio.testing

from triode.actors.leading import Leading


class Raft:
    def __init__(self) -> None:
        self.term = 1
        self.is_leader = False


class Watched:
    def __init__(self) -> None:
        self.raft = Raft()
        self.applied_term = 1
        self.told: list[bool] = []
        self.leading = Leading(self.raft, lambda: self.applied_term)
        self.leading.on_change = self.told.append

    def elected(self, term: int) -> None:
        self.raft.term, self.raft.is_leader = term, True
        self.leading.look()

    def applied(self, term: int) -> None:
        self.applied_term = term
        if self.leading.pending:
            self.leading.look()

    def lost(self, term: int) -> None:
        self.raft.term, self.raft.is_leader = term, False
        self.leading.look()


def test_it_begins_with_the_first_entry_of_the_term() -> None:
    watched = Watched()
    watched.elected(2)
    assert (watched.leading.active, watched.leading.pending) == (False, True)
    watched.applied(1)
    assert watched.told == []
    watched.applied(2)
    assert (watched.leading.active, watched.leading.pending) == (True, False)
    watched.applied(2)
    assert watched.told == [True]


def test_it_ends_with_the_leadership() -> None:
    watched = Watched()
    watched.elected(2)
    watched.applied(2)
    watched.lost(3)
    assert watched.told == [True, False]
    watched.elected(4)
    watched.lost(5)
    assert watched.told == [True, False]
    assert not watched.leading.pending


def test_an_entry_of_another_leader_does_not_begin_it() -> None:
    """A leader of term 2 was followed by another; its entries are applied here while this one leads again."""
    watched = Watched()
    watched.elected(2)
    watched.lost(3)
    watched.elected(4)
    watched.applied(2)
    watched.applied(3)
    assert watched.told == []
    watched.applied(4)
    assert watched.told == [True]


def test_a_new_term_of_the_same_leader_begins_anew() -> None:
    watched = Watched()
    watched.elected(2)
    watched.applied(2)
    watched.elected(3)
    assert watched.told == [True, False]
    watched.applied(3)
    assert watched.told == [True, False, True]


async def test_waiting_for_a_change(autojump_clock: trio.testing.MockClock) -> None:
    watched = Watched()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.leading.wait_change)
        await trio.testing.wait_all_tasks_blocked()
        watched.elected(2)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        watched.applied(2)
