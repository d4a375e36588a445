"""What the leader watches over: the cluster's version, downgrades, and that all members hold the same data.

Every member runs the monitors; only the one that leads does anything. What they find is proposed like anything else,
so a leader that is none any more does no harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from .. import features
from ..errors import CorruptData, DiskFull, EtcdError
from ..mvcc.alarm import CORRUPT
from ..rpc.pb.membership_pb2 import ClusterVersionSetRequest, DowngradeInfoSetRequest
from ..rpc.pb.rpc_pb2 import AlarmRequest
from ..version import SERVER_VERSION
from . import cluster_version, corruption, proposals
from .actor import Actor, Restart
from .context import NodeContext
from .leader_calls import up_to_date
from .log import Log
from .member import go_json
from .peer_requests import HASHKV, VERSION
from .peers.contract import PeerReply
from .services.maintenance import MaintenanceService

__all__ = ["InitialCheck", "LeaderDuty", "Monitors"]

VERSION_SECONDS_MARGIN = 1.0
log = Log("triode.monitor")


class LeaderDuty(Actor[None]):
    """Does `work` every `interval_seconds` while this member leads; what fails is tried the next time.

    With `at_once` also as soon as it has begun to lead; see `leading` for when that is.
    """

    restart = Restart.PERMANENT
    mailbox_messages_max = 1

    def __init__(
        self,
        name: str,
        node: NodeContext,
        interval_seconds: float,
        work: Callable[[], Awaitable[None]],
        *,
        at_once: bool = False,
    ) -> None:
        super().__init__(name=name)
        self._node = node
        self._interval_seconds = interval_seconds
        self._work = work
        self._at_once = at_once

    async def run(self) -> None:
        leading = self._node.leading
        waits = not self._at_once  # the leader may have been elected before this actor began
        while True:
            if waits:
                with trio.move_on_after(self._interval_seconds):
                    await self._wait()
            waits = True
            if not leading.active:
                continue
            try:
                await self._work()
            except (
                EtcdError,
                DiskFull,
            ) as error:  # hashes commit first, for which there may be no space
                log.warning("a monitor failed", monitor=self.name, error=str(error))

    async def _wait(self) -> None:
        if self._at_once:
            await self._node.leading.wait_change()
        else:
            await trio.sleep_forever()


class Monitors:
    """The monitors of one node. `actors` are those that its settings ask for."""

    def __init__(self, node: NodeContext, maintenance: MaintenanceService) -> None:
        self._node = node
        self._maintenance = maintenance
        self._revision_checked = 0

    def actors(self) -> list[Actor[Any]]:
        """In any order, after raft."""
        node, config = self._node, self._node.config
        # shorter than what a connection to a peer may be silent, so that it can be used again
        interval = max(config.raft_write_timeout - VERSION_SECONDS_MARGIN, VERSION_SECONDS_MARGIN)
        duties = [LeaderDuty("version-monitor", node, interval, self.check_version, at_once=True)]
        if config.downgrade_check_time:
            duties.append(
                LeaderDuty(
                    "downgrade-monitor", node, config.downgrade_check_time, self.check_downgrade
                )
            )
        if config.corrupt_check_time:
            duties.append(
                LeaderDuty("hash-monitor", node, config.corrupt_check_time, self.check_hashes)
            )
        if features.enabled(config.feature_gates, features.COMPACT_HASH_CHECK):
            duties.append(
                LeaderDuty(
                    "compact-hash-monitor",
                    node,
                    config.compact_hash_check_time,
                    self.check_compaction_hashes,
                )
            )
        return [*duties]

    # --- versions -------------------------------------------------------------------------------

    async def check_version(self) -> None:
        """Set the cluster's version if it is undecided, or all members are newer."""
        membership = self._node.membership
        await up_to_date(self._node)
        servers = await self._server_versions()
        try:
            version = cluster_version.decide(membership.version, servers, membership.downgrade)
        except cluster_version.InvalidTarget as error:
            log.warning("cannot follow the downgrade", error=str(error))
            return
        if version is None:
            return
        log.info("updating cluster version", from_=membership.version, to=version)
        await self._node.proposer.ask(
            proposals.CLUSTER_VERSION_SET, ClusterVersionSetRequest(ver=version)
        )

    async def check_downgrade(self) -> None:
        """End the downgrade when all members are of its version."""
        enabled, target = self._node.membership.downgrade
        if enabled and cluster_version.downgrade_done(target, await self._server_versions()):
            log.info("the cluster has been downgraded", cluster_version=target)
            await self._node.proposer.ask(
                proposals.DOWNGRADE_INFO_SET, DowngradeInfoSetRequest(enabled=False)
            )

    async def _server_versions(self) -> list[str | None]:
        replies = await self._ask_all("GET", VERSION, b"")
        others = [
            None if reply is None else cluster_version.server_version(reply.body)
            for reply in replies.values()
        ]
        return [SERVER_VERSION, *others]

    # --- hashes ---------------------------------------------------------------------------------

    async def check_hashes(self) -> None:
        """Compare all members' hashes of the present; raise the alarm for one that differs."""
        find, mine = self._maintenance.find_hash_kv, self._node.member_id
        before, _ = await find(0)
        peers = await self.peer_hashes(before.hash_revision)
        await up_to_date(self._node)
        after, revision = await find(0)
        culprit = corruption.find_culprit(mine, before, after, revision, peers)
        checked = sum(peer is not None for peer in peers.values())
        log.info("finished peer corruption check", number_of_peers_checked=checked)
        if culprit is not None:
            await self._raise_alarm(culprit)

    async def check_compaction_hashes(self) -> None:
        """Compare the hashes that compactions have left, the latest that all members have."""
        hashes = sorted(self._node.store.compaction_hashes, key=lambda kept: -kept.hash_revision)
        for own in hashes:
            if own.hash_revision <= self._revision_checked:
                return
            peers = await self.peer_hashes(own.hash_revision)
            if not peers:
                continue
            verdict = corruption.compare_compaction(self._node.member_id, own, peers)
            for culprit in verdict.culprits:
                await self._raise_alarm(culprit)
            if verdict.agreed:
                self._revision_checked = max(self._revision_checked, own.hash_revision)
            if verdict.final:
                return

    async def peer_hashes(self, revision: int) -> corruption.Peers:
        """What the other members' hash is at `revision`."""
        replies = await self._ask_all("GET", HASHKV, _hash_request(revision))
        return {
            member: corruption.read_hash(reply.body) if reply and reply.status == 200 else None
            for member, reply in replies.items()
        }

    async def _raise_alarm(self, member: int) -> None:
        log.error("found data that differs between members", member_id=f"{member:x}")
        request = AlarmRequest(
            memberID=member,
            action=AlarmRequest.ACTIVATE,
            alarm=CORRUPT,
        )
        await self._node.proposer.ask(proposals.ALARM, request)

    # --- asking ---------------------------------------------------------------------------------

    async def _ask_all(self, verb: str, target: str, body: bytes) -> dict[int, PeerReply | None]:
        """The replies of the other members; None of those that did not."""
        node, replies = self._node, dict[int, PeerReply | None]()

        async def ask(member: int) -> None:
            try:
                replies[member] = await node.peers.ask(member, verb, target, body)
            except OSError as error:
                replies[member] = None
                log.warning(
                    "failed to ask a member",
                    target=target,
                    remote_member_id=f"{member:x}",
                    error=str(error),
                )

        async with trio.open_nursery() as nursery:
            for member in node.membership.members:
                if member != node.member_id:
                    nursery.start_soon(ask, member)
        return replies


class InitialCheck(Actor[None]):
    """With the gate InitialCorruptCheck: a member whose data differs from that of the others does not start.

    To be started after the links and before raft.
    """

    restart = Restart.TEMPORARY
    mailbox_messages_max = 1

    def __init__(
        self, node: NodeContext, monitors: Monitors, maintenance: MaintenanceService
    ) -> None:
        super().__init__(name="initial-check")
        self._node = node
        self._monitors = monitors
        self._maintenance = maintenance

    async def started(self) -> None:
        own, _ = await self._maintenance.find_hash_kv(0)
        different = corruption.mismatches(own, await self._monitors.peer_hashes(own.hash_revision))
        if different:
            raise CorruptData(
                f"{self._node.member_id:x} found data inconsistency with peers"
                f" {', '.join(f'{member:x}' for member in different)}: remove its data directory and"
                " add it again, as a new member"
            )

    async def run(self) -> None:
        await trio.sleep_forever()


def _hash_request(revision: int) -> bytes:
    return go_json({"revision": revision} if revision else {})
