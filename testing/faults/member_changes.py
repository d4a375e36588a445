"""Membership changes and hand-overs for the nemesis: asked for now and then, refused as often."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import trio

from ...errors import EtcdError
from ...rpc.pb.rpc_pb2 import MemberUpdateRequest
from ..cluster import Cluster
from ..machine import Machine

__all__ = ["MemberChanges"]

MEMBERS_MAX = 7
MEMBERS_MIN = 1
_PROMOTIONS_MAX = 20
_REPLY_SECONDS_MAX = 8.0


class MemberChanges:
    """Changes the members of a cluster, one change at a time."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self._lock = trio.Lock()

    async def move_leader(self) -> None:
        """Ask the leader to hand over to anybody."""
        leader = self._cluster.leader_now()
        others = [m for m in self._cluster.serving if m is not leader]
        if leader is None or not others:
            return
        try:
            await self._cluster.move_leader(self._random.choice(others))
        except EtcdError as error:
            self._refused("hand-over", error)

    async def add(self, *, learner: bool) -> None:
        """Add a member; a learner becomes a voter when it is ready."""
        if len(self._cluster.expected) >= MEMBERS_MAX:
            return
        async with self._lock:
            machine = await self._add(learner=learner)
            if machine is None or not learner:
                return
            for _ in range(_PROMOTIONS_MAX):
                await trio.sleep(0.3)
                try:
                    with trio.move_on_after(_REPLY_SECONDS_MAX):
                        await self._cluster.promote(machine)
                        return
                except EtcdError as error:
                    self._refused("promotion", error)

    async def _add(self, which: Machine | None = None, *, learner: bool) -> Machine | None:
        try:
            with trio.move_on_after(_REPLY_SECONDS_MAX):
                return await self._cluster.add_member(which, learner=learner)
        except EtcdError as error:
            self._refused("addition", error)
        return None

    async def remove(self, busy: Iterable[str], wanted: Machine | None = None) -> None:
        """Remove a member that is up: the wanted one, if it is free, or any."""
        async with self._lock:
            names = [name for name in self._cluster.expected if name not in busy]
            if len(self._cluster.expected) <= MEMBERS_MIN or not names:
                return
            name = self._random.choice(names)
            if wanted is not None and wanted.name in names:
                name = wanted.name
            await self._remove(self._cluster.machines[name])

    async def remove_this(self, machine: Machine) -> bool:
        """Remove the member of a machine, whatever state it is in; whether that has happened."""
        async with self._lock:
            return await self._remove(machine)

    async def add_again(self, machine: Machine) -> None:
        """Add a member on a machine whose disks have been wiped."""
        async with self._lock:
            await self._add(machine, learner=False)

    async def update(self, machine: Machine) -> None:
        """Tell the cluster the peer URL that a member has."""
        request = MemberUpdateRequest(
            ID=self._cluster.member_id(machine), peerURLs=[machine.peer_url]
        )
        async with self._lock:
            try:
                with trio.move_on_after(_REPLY_SECONDS_MAX):
                    await self._cluster.client().call("Cluster/MemberUpdate", request)
            except EtcdError as error:
                self._refused("update", error)

    async def _remove(self, machine: Machine) -> bool:
        try:
            with trio.move_on_after(_REPLY_SECONDS_MAX):
                await self._cluster.remove_member(machine)
                return True
        except EtcdError as error:
            self._refused("removal", error)
        return False

    async def replace(self, machine: Machine) -> None:
        """Remove the member of a machine that is lost, and add one on a new machine."""
        async with self._lock:
            if await self._remove(machine):
                await self._add(learner=False)

    def _refused(self, what: str, error: EtcdError) -> None:
        self._cluster.trace.event("-", f"{what} refused: {error.message}")
