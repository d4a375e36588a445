"""Calls that wait for their entries, over changes of the leader."""

from __future__ import annotations

from triode.actors.call import Call
from triode.actors.pending import Pending
from triode.errors import EtcdError, LeaderChanged


class Ends:
    """A sink that keeps how calls ended."""

    def __init__(self) -> None:
        self.ended: dict[int, str] = {}

    def answer(self, tag: int, message: bytes) -> None:
        self.ended[tag] = message.decode()

    def refuse(self, tag: int, error: EtcdError) -> None:
        self.ended[tag] = type(error).__name__


def test_an_index_is_given_again() -> None:
    """A leader that lost its tail and was elected again, before it applied what came between."""
    pending, ends = Pending(), Ends()
    for tag, (index, term) in enumerate([(10, 2), (11, 2), (11, 4)]):
        pending.appended(Call(ends, tag), index, term)
    assert ends.ended == {1: LeaderChanged.__name__}
    assert {index: call.tag for index, call in pending.by_index.items()} == {10: 0, 11: 2}
    pending.new_term(4)
    assert ends.ended == {0: LeaderChanged.__name__, 1: LeaderChanged.__name__}
