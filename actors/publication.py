"""The way of a member into service: elected or led, then published; nobody is served before.

Source: etcd's publishV3, adjustTicks. A member that finds no quorum waits here, and answers no client: what it
could say would be of no use to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..errors import EtcdError, NoSpace, Stopped
from ..rpc.pb.membership_pb2 import (
    Attributes,
    ClusterMemberAttrSetRequest,
    ClusterVersionSetRequest,
)
from ..version import CLUSTER_VERSION
from . import proposals
from .actor import Actor, Restart
from .log import Log
from .raft_mail import AdvanceTicks, Campaign

if TYPE_CHECKING:
    from .node import Node

__all__ = ["Publication"]

ADVANCE_SECONDS_MAX = 5.0
ADVANCE_POLL_SECONDS = 0.05
AGAIN_SECONDS = 0.1
log = Log("triode.node")


class Publication(Actor[None]):
    """Starts when this member knows a leader, is up to date, and has published itself."""

    restart = Restart.TEMPORARY
    mailbox_messages_max = 1

    def __init__(self, node: Node) -> None:
        super().__init__(name="publication")
        self._node = node

    async def started(self) -> None:
        node = self._node
        if node.peer.sole_voter:
            node.peer.tell(Campaign())
        elif node.config.initial_election_tick_advance:
            self.nursery.start_soon(self._advance_ticks)
        await node.wait_led()
        await self._publish()

    async def run(self) -> None:
        await trio.sleep_forever()

    async def _advance_ticks(self) -> None:
        """Bring the first election forward as soon as the others are there to take part in it."""
        node = self._node
        others = [member for member in node.context.membership.members if member != node.member_id]
        with trio.move_on_after(ADVANCE_SECONDS_MAX):
            while not node.peer.leader:
                active = sum(node.peers.active_since(member) is not None for member in others)
                if others and active >= min(2, len(others)):
                    node.peer.tell(AdvanceTicks(node.election_ticks - 2))
                    return
                await trio.sleep(ADVANCE_POLL_SECONDS)

    async def _publish(self) -> None:
        """Tell the cluster this member's name and client URLs, until it has been heard."""
        while True:
            try:
                await self._publish_once()
            except NoSpace:  # the disk is full: what is there can be read all the same
                log.warning("cannot publish this member's client URLs, as writes are refused")
            except Stopped:
                return
            except EtcdError as error:
                log.warning(
                    "failed to publish local member to cluster through raft", error=error.message
                )
                await trio.sleep(AGAIN_SECONDS)
                continue
            return

    async def _publish_once(self) -> None:
        node, context = self._node, self._node.context
        name, client_urls = node.config.name, node.client_urls
        mine = context.membership.members.get(node.member_id)
        if mine is None or (mine.name, mine.client_urls) != (name, client_urls):
            await context.proposer.ask(
                proposals.CLUSTER_MEMBER_ATTR_SET,
                ClusterMemberAttrSetRequest(
                    member_ID=node.member_id,
                    member_attributes=Attributes(name=name, client_urls=client_urls),
                ),
            )
            log.info(
                "published local member to cluster through raft",
                local_member_id=f"{node.member_id:x}",
                name=name,
                client_urls=list(client_urls),
            )
        if context.membership.version is None and len(context.membership.members) == 1:
            # nobody else has a say in it; in a larger cluster the leader asks the others first
            await context.proposer.ask(
                proposals.CLUSTER_VERSION_SET, ClusterVersionSetRequest(ver=CLUSTER_VERSION)
            )
