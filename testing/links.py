"""The links of one simulated member to the others: `Peers` without sockets.

Messages go through the `Network`. A snapshot is carried piece by piece, as long as both ends and the link between
them last; a request to another member is answered by that member's node itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs
import trio

from ..actors.actor import Actor, Restart
from ..actors.peers.client import refuse_strangers
from ..actors.peers.contract import IncomingSnapshot, OutgoingSnapshot, PeerOwner, PeerReply
from ..errors import TriodeError
from ..raft.types import Message
from ..rpc.peer_heads import CLUSTER_MISMATCH, of_other_cluster
from .errors import ConnectionLost
from .network import Network

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["SimulatedPeers"]


DIAL_SECONDS = 1.0
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class _Broken(Exception):
    """The transfer of a snapshot broke off."""


class SimulatedPeers(Actor[None]):
    """A `Peers` for the node `owner` on `machine`."""

    restart = Restart.NEVER
    mailbox_messages_max = 1

    def __init__(self, owner: PeerOwner, network: Network, machine: Machine) -> None:
        super().__init__(name="peers")
        self.machine = machine
        self.owner = owner
        self._network = network
        self._since: dict[int, float] = {}
        self._known: set[int] = set()
        self._attached = False

    @property
    def member_id(self) -> int:
        """The member whose links these are."""
        return self.owner.member_id

    async def started(self) -> None:
        self._attached = True
        self._network.attach(self.member_id, self)

    async def run(self) -> None:
        """Dial, as the real links do, those that take nothing from this member: they say why."""
        while True:
            await trio.sleep(DIAL_SECONDS)
            for member in sorted(self._known):
                other = self._network.peers_of(member)
                if (
                    other is not None
                    and other.owner.is_removed(self.member_id)
                    and not (other.machine.dark or other.machine.paused or self.machine.unplugged)
                    and self._network.reaches(self.member_id, member)
                    and self._network.reaches(member, self.member_id)
                ):
                    self.told_removed()

    def cleanup(self) -> None:
        self.cut()

    def cut(self) -> None:
        """Nothing goes in or out any more: the machine is without power, or the node stops."""
        if self._attached:
            self._attached = False
            self._network.detach(self.member_id, self)

    # --- `Peers` --------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        if self.machine.dark:
            return
        for message in messages:
            if message.to in self._known:
                self._network.send(self, message)

    def add(self, member: int, peer_urls: Sequence[str]) -> None:
        del peer_urls
        self._known.add(member)

    def remove(self, member: int) -> None:
        self._known.discard(member)
        self._since.pop(member, None)

    def active_since(self, member: int) -> float | None:
        reached = member in self._known and self._network.reaches(self.member_id, member)
        if not (reached and self._network.reaches(member, self.member_id)):
            self._since.pop(member, None)
            return None
        return self._since.setdefault(member, self.machine.clock.now())

    def rearm(self) -> None:
        """There is no back-off here."""

    async def ask(
        self, member: int, verb: str, target: str, body: bytes = b"", *, seconds_max: float = 5.0
    ) -> PeerReply:
        with trio.move_on_after(seconds_max / self.machine.clock.rate):
            await self._travel(self.member_id, member)
            other = self._network.at_address_of(member)
            if other is None:
                raise ConnectionRefusedError(f"member {member:x} is down")
            try:
                async with other.machine.connected():
                    headers = {"x-etcd-cluster-id": f"{self.owner.cluster_id:x}"}
                    reply = await other.answer(verb, target, body, headers)
            except ConnectionLost as error:
                raise ConnectionResetError(f"member {member:x} is gone") from error
            await self._travel(member, self.member_id)
            refuse_strangers(reply, self.owner.cluster_id)
            return reply
        raise TimeoutError(f"member {member:x} did not answer {target}")

    async def answer(
        self, verb: str, target: str, body: bytes, headers: Mapping[str, str] = NO_HEADERS
    ) -> PeerReply:
        """What the owner answers to a request of another member, with the headers and checks of the real links."""
        if of_other_cluster(headers, self.owner.cluster_id):
            reply: PeerReply | None = PeerReply(412, {}, CLUSTER_MISMATCH.encode())
        else:
            try:
                reply = await self.owner.answer(verb, target, body)
            except TriodeError as error:
                reply = PeerReply(500, {}, str(error).encode())
        reply = reply or PeerReply(404, {}, b"404 page not found\n")
        cluster = {"x-etcd-cluster-id": f"{self.owner.cluster_id:x}"}
        return attrs.evolve(reply, headers={**reply.headers, **cluster})

    async def _travel(self, source: int, target: int) -> None:
        """Cross a link; when nothing gets through, wait for the time-out."""
        conditions = self._network.conditions[source, target]
        await trio.sleep(conditions.delay(self._network.random))
        if conditions.blocked:
            await trio.sleep_forever()

    # --- what comes in --------------------------------------------------------------------------

    def deliver(self, source: SimulatedPeers, message: Message) -> None:
        """A message has arrived."""
        owner, member = self.owner, source.member_id
        if owner.is_removed(member):
            if self._network.reaches(self.member_id, member):
                source.told_removed()
            return
        self._known.add(member)  # the real links learn of an unknown one by its X-PeerURLs
        if member not in self._since:
            self._since[member] = self.machine.clock.now()
        self.machine.context.run(owner.step, message)

    def unreachable(self, member: int) -> None:
        """A message could not be delivered."""
        if self._attached and not self.machine.paused:
            self.machine.context.run(self.owner.unreachable, member)

    def told_removed(self) -> None:
        """Another member says that this one has been removed."""
        if self._attached and not self.machine.paused:
            self.machine.context.run(self.owner.told_removed)

    # --- snapshots ------------------------------------------------------------------------------

    async def transfer(self, message: Message) -> None:
        """Carry the owner's state to the receiver of a SNAP message, and tell what became of it."""
        failed = True
        self._network.counts.snapshots += 1
        try:
            outgoing = self.machine.context.run(self.owner.open_snapshot)
            try:
                await self._carry(message, outgoing)
                failed = False
            finally:
                outgoing.close()
        except (_Broken, TriodeError, OSError) as error:
            self._network.counts.snapshots_failed += 1
            self._network.trace.event(
                self.machine.name, f"snapshot to {message.to:x} broke off: {error}"
            )
        if self._attached:
            self.machine.context.run(lambda: self.owner.snapshot_sent(message.to, failed=failed))

    async def _carry(self, message: Message, outgoing: OutgoingSnapshot) -> None:
        network = self._network
        link = network.conditions[self.member_id, message.to]
        size = await outgoing.size()
        limit = size
        if network.random.random() < link.snapshot_failure:
            limit = network.random.randrange(size + 1)
        await trio.sleep(link.delay(network.random))
        target = network.peers_of(message.to)
        cut = link.blocked or self.machine.unplugged or network.random.random() < link.drop
        if target is None or cut or target.machine.unplugged:
            raise _Broken("no connection")
        filled = attrs.evolve(message, snapshot=outgoing.snapshot)
        incoming = target.machine.context.run(target.owner.receive_snapshot, filled)
        try:
            await self._pour(outgoing, incoming, target, limit)
        except BaseException:
            if target._attached:
                incoming.abandon()
            raise
        if limit < size:
            raise _Broken(f"after {limit} of {size} bytes")
        network.trace.event(
            target.machine.name,
            f"< {self.machine.name} snapshot i{outgoing.snapshot.metadata.index} {size} bytes",
        )

    async def _pour(
        self,
        outgoing: OutgoingSnapshot,
        incoming: IncomingSnapshot,
        target: SimulatedPeers,
        limit: int,
    ) -> None:
        """Write at most `limit` bytes; only the whole image is finished."""
        network = self._network
        sent = 0
        for piece in outgoing.chunks():
            link = network.conditions[self.member_id, target.member_id]
            await trio.sleep(len(piece) / link.snapshot_bytes_per_second)
            if link.blocked or not (self._attached and target._attached):
                raise _Broken("connection reset")
            part = piece[: limit - sent]
            target.machine.context.run(incoming.write, part)
            sent += len(part)
            if len(part) < len(piece):
                incoming.abandon()
                raise _Broken(f"truncated after {sent} bytes")
        async with target.machine.connected():
            await incoming.finish()
