"""The network between simulated members: who reaches whom, how late, and how often.

Messages are handed over as they are, for they never change. One task delivers them at their times; links keep the
order unless their `Conditions` say otherwise. A machine that is without power, stopped or paused takes nothing: the
messages to a paused one wait for it, as in the buffers of its kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING

import attrs
import trio

from ..raft.types import Message, MessageType
from .conditions import Conditions
from .trace import Trace

if TYPE_CHECKING:
    from .links import SimulatedPeers
    from .machine import Machine

__all__ = ["Network", "NetworkCounts"]

WAITING_FOR_PAUSED_MAX = 4096  # messages; a kernel's buffers are bounded too
_NEVER_TWICE = frozenset((MessageType.PROP, MessageType.SNAP))
_QUIET = frozenset((MessageType.HEARTBEAT, MessageType.HEARTBEAT_RESP))
_LATE_FACTOR = 20.0  # how much longer than usual a message takes that others overtake


@attrs.define
class NetworkCounts:
    """What the network has done to messages."""

    sent: int = 0
    delivered: int = 0
    dropped: int = 0
    duplicated: int = 0
    reordered: int = 0
    snapshots: int = 0
    snapshots_failed: int = 0


class Network:
    """All links of a cluster. `conditions[a, b]` is what happens to the messages from `a` to `b` (member IDs)."""

    def __init__(self, random: Random, trace: Trace, usual: Conditions | None = None) -> None:
        self.usual = usual or Conditions()
        self.conditions: defaultdict[tuple[int, int], Conditions] = defaultdict(
            lambda: attrs.evolve(self.usual)
        )
        self.counts = NetworkCounts()
        self.random = random
        self.trace = trace
        self.names: dict[int, str] = {}
        self.strangers: dict[int, Machine] = {}
        self.on_block: list[Callable[[], None]] = []
        self._members: dict[int, SimulatedPeers] = {}
        self._on_the_way: list[tuple[float, int, SimulatedPeers, Message]] = []
        self._waiting: dict[int, list[tuple[SimulatedPeers, Message]]] = {}
        self._last: dict[tuple[int, int], float] = {}
        self._numbers = 0
        self._news = trio.Event()
        self._nursery: trio.Nursery | None = None

    # --- members --------------------------------------------------------------------------------

    def attach(self, member: int, peers: SimulatedPeers) -> None:
        """A member can be reached from now on."""
        self._members[member] = peers
        self.names[member] = peers.machine.name

    def detach(self, member: int, peers: SimulatedPeers) -> None:
        """A member is gone; nothing happens if another one has taken its place."""
        if self._members.get(member) is peers:
            del self._members[member]
            self._waiting.pop(member, None)

    def peers_of(self, member: int) -> SimulatedPeers | None:
        """The links of a member that is up."""
        return self._members.get(member)

    def at_address_of(self, member: int) -> SimulatedPeers | None:
        """Who answers at the address of a member: itself, or another cluster's while that one is down."""
        found = self._members.get(member)
        if found is None and member in self.strangers:
            found = self.strangers[member].peers
        return found

    def reaches(self, source: int, target: int) -> bool:
        """Whether messages from `source` get to `target`, which is up."""
        there = self._members.get(target)
        return (
            there is not None
            and not there.machine.unplugged
            and not self.conditions[source, target].blocked
        )

    def resumed(self, member: int) -> None:
        """A paused machine goes on: it finds what came in the meantime, a link's messages in their order.

        Not before all else: clients' requests have waited in their sockets as well, and so have its timers.
        """
        now, starts = trio.current_time(), dict[int, float]()
        for source, message in self._waiting.pop(member, []):
            if source.member_id not in starts:
                starts[source.member_id] = now + self.usual.delay(self.random)
            self._put(starts[source.member_id], source, message)

    # --- partitions -----------------------------------------------------------------------------

    def block(self, sources: Iterable[int], targets: Iterable[int]) -> None:
        """Let nothing from `sources` reach `targets`; the other direction is as it was."""
        targets = list(targets)
        for source in sources:
            for target in targets:
                if source != target:
                    self.conditions[source, target].blocked = True
        for each in self.on_block:
            each()

    def heal(self) -> None:
        """Make all links as they usually are."""
        self.conditions.clear()

    # --- messages -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver messages at their times."""
        async with trio.open_nursery() as self._nursery:
            while True:
                self._news = trio.Event()
                with trio.move_on_at(self._on_the_way[0][0] if self._on_the_way else float("inf")):
                    await self._news.wait()
                now = trio.current_time()
                while self._on_the_way and self._on_the_way[0][0] <= now:
                    _, _, source, message = heappop(self._on_the_way)
                    self._deliver(source, message)

    def send(self, source: SimulatedPeers, message: Message) -> None:
        """Put a message on its way, or lose it."""
        link = source.member_id, message.to
        conditions = self.conditions[link]
        random = self.random
        self.counts.sent += 1
        if message.type is MessageType.SNAP:  # whose sender is always told what became of it
            self._spawn(source.transfer, message)
            return
        lost = conditions.drop and random.random() < conditions.drop
        if lost or conditions.blocked or source.machine.unplugged:
            self._dropped(message)
            return
        self._later(source, message, link, conditions)
        if (
            conditions.duplicate
            and message.type not in _NEVER_TWICE
            and random.random() < conditions.duplicate
        ):
            self.counts.duplicated += 1
            self._later(source, message, link, conditions)

    def _later(
        self,
        source: SimulatedPeers,
        message: Message,
        link: tuple[int, int],
        conditions: Conditions,
    ) -> None:
        delay = conditions.delay(self.random)
        at = trio.current_time() + delay
        if conditions.reorder and self.random.random() < conditions.reorder:
            self.counts.reordered += 1
            at += delay * _LATE_FACTOR * self.random.random()
        else:
            at = self._last[link] = max(at, self._last.get(link, 0.0))
        self._put(at, source, message)

    def _put(self, at: float, source: SimulatedPeers, message: Message) -> None:
        self._numbers += 1
        earliest = not self._on_the_way or at < self._on_the_way[0][0]
        heappush(self._on_the_way, (at, self._numbers, source, message))
        if earliest:
            self._news.set()

    def _spawn(self, work: Callable[[Message], object], message: Message) -> None:
        assert self._nursery is not None, "messages are sent while the network runs"
        self._nursery.start_soon(work, message)  # type: ignore[arg-type]

    def _deliver(self, source: SimulatedPeers, message: Message) -> None:
        target = self._members.get(message.to)
        if target is None:
            source.unreachable(message.to)
            return
        if target.machine.unplugged or self.conditions[source.member_id, message.to].blocked:
            self._dropped(message)
            return
        if target.machine.paused:
            waiting = self._waiting.setdefault(message.to, [])
            if len(waiting) < WAITING_FOR_PAUSED_MAX:
                waiting.append((source, message))
            return
        self.counts.delivered += 1
        if message.type not in _QUIET:
            self._note(source, message)
        target.deliver(source, message)

    def _dropped(self, message: Message) -> None:
        self.counts.dropped += 1
        if message.type not in _QUIET:
            self.trace.event(self.names.get(message.to, "?"), f"lost {_brief(message)}")

    def _note(self, source: SimulatedPeers, message: Message) -> None:
        name = self.names.get(message.to, "?")
        self.trace.event(name, f"< {source.machine.name} {_brief(message)}")


def _brief(message: Message) -> str:
    """A message in a few words."""
    words = [message.type.name, f"t{message.term}"]
    if message.index or message.log_term:
        words.append(f"i{message.index}/{message.log_term}")
    if message.entries:
        words.append(f"e{message.entries[0].index}+{len(message.entries)}")
    if message.commit:
        words.append(f"c{message.commit}")
    if message.reject:
        words.append(f"reject{message.reject_hint}")
    return " ".join(words)
