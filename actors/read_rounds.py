"""Linearizable reads: the rounds that they wait for (see `raft.read_only` for why that is enough).

All reads of a turn share a round, which has a context that no other member uses, as the leader may be asked by
all of them. A round's request or answer may get lost, so it is asked again; an answer to the first asking
serves as well, for the leader's index was taken after the reads had come.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ..errors import EtcdError, RequestTimeout
from .call import Call

__all__ = ["READS_WAITING_MAX", "ReadIndex", "ReadRounds"]

READS_WAITING_MAX = 65_536
ASK_AGAIN_SECONDS = 0.5  # etcd's
NEVER = float("-inf")


class ReadIndex:
    """Call `then` when this member has applied all that was committed before now."""

    __slots__ = ("call", "then")

    def __init__(self, call: Call, then: Callable[[], None]) -> None:
        self.call = call
        self.then = then


@attrs.define
class Round:
    """Reads that share an answer. `asked` is when the leader was asked last, in seconds."""

    reads: list[ReadIndex]
    deadline: float
    asked: float = NEVER


class ReadRounds:
    """The rounds of one member that are not confirmed yet."""

    def __init__(self) -> None:
        self._rounds: dict[bytes, Round] = {}
        self.waiting = 0
        self.late_total = 0

    def __len__(self) -> int:
        return len(self._rounds)

    def begin(self, context: bytes, reads: list[ReadIndex], deadline: float) -> None:
        """A round that has not been asked for yet; see `due`."""
        self._rounds[context] = Round(reads, deadline)
        self.waiting += len(reads)
        for read in reads:
            read.call.deadline = deadline

    def due(self, now: float) -> list[bytes]:
        """The contexts to ask the leader for now; they count as asked."""
        due = [
            context for context, one in self._rounds.items() if now - one.asked >= ASK_AGAIN_SECONDS
        ]
        for context in due:
            self._rounds[context].asked = now
        return due

    def ask_all_again(self) -> None:
        """There is another leader, and the one before it may have taken the requests with it."""
        for one in self._rounds.values():
            one.asked = NEVER

    def confirmed(self, context: bytes) -> list[Callable[[], None]]:
        """What to call when the confirmed index is applied; nothing for an answer that came twice."""
        one = self._rounds.pop(context, None)
        if one is None:
            return []
        self.waiting -= len(one.reads)
        return [read.then for read in one.reads]

    def sweep(self, now: float) -> None:
        """Tell the reads that have waited too long."""
        for context, one in list(self._rounds.items()):
            if one.deadline <= now:
                self.late_total += 1
                self._refuse(context, RequestTimeout)

    def fail(self, error: type[EtcdError]) -> None:
        """Tell everybody the same."""
        for context in list(self._rounds):
            self._refuse(context, error)

    def _refuse(self, context: bytes, error: type[EtcdError]) -> None:
        one = self._rounds.pop(context)
        self.waiting -= len(one.reads)
        for read in one.reads:
            read.call.refuse(error())
