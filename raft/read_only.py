"""Linearizable reads without writing to the log (dissertation, 6.4).

A read may be served from a state that includes everything which was committed when the read
arrived, if the node was still the leader at that moment. The leader remembers its commit index,
sends a round of heartbeats, and once a quorum has answered knows that no newer leader had been
elected before the round. Two conditions come on top: it must have committed an entry of its own
term, else its commit index may be behind; and the reader waits until it has applied that index.

Rounds are shared. Reads are numbered as they come; a heartbeat carries the number of the latest,
so one answer stands for all reads up to it. A voter's answers are like acknowledged log indexes,
hence the quorum arithmetic of the commit index finds how many reads are confirmed.
"""

from __future__ import annotations

from collections import deque

from .quorum import INDEX_MAX, JointConfig
from .types import Message

__all__ = ["ReadOnly"]

_NUMBER_BYTES = 8


class ReadOnly:
    """The reads that wait for a round of heartbeats."""

    __slots__ = ("_acks", "_confirmed", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Message, int]] = (
            deque()
        )  # (request, commit index at its arrival)
        self._confirmed = 0  # how many reads have left the queue before those that wait
        self._acks: dict[int, int] = {}  # the highest number that each node has answered

    def add(self, request: Message, commit: int) -> None:
        self._waiting.append((request, commit))

    def context(self) -> bytes:
        """What the next heartbeats carry: the number of the latest read, or nothing."""
        if not self._waiting:
            return b""
        return (self._confirmed + len(self._waiting)).to_bytes(_NUMBER_BYTES, "little")

    def acknowledge(self, node: int, context: bytes) -> None:
        """`node` has answered a heartbeat with this context."""
        if len(context) == _NUMBER_BYTES:
            number = int.from_bytes(context, "little")
            self._acks[node] = max(self._acks.get(node, 0), number)

    def advance(self, voters: JointConfig) -> list[tuple[Message, int]]:
        """Take out the reads that a quorum has confirmed: (request, index to read at)."""
        confirmed = voters.committed_index(lambda node: self._acks.get(node, 0))
        # An answer cannot name a read that was never numbered, unless a peer is at fault.
        if confirmed == INDEX_MAX or confirmed <= self._confirmed:
            return []
        count = min(confirmed - self._confirmed, len(self._waiting))
        self._confirmed += count
        return [self._waiting.popleft() for _ in range(count)]
