"""What the nemesis does to the membership, and to the settings of members."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from ...config import ELECTION_SECONDS_MAX
from ...errors import EtcdError
from ..machine import Machine

if TYPE_CHECKING:
    from .nemesis import Nemesis

__all__ = ["MemberFaults"]

STARTED_SECONDS_MAX = 5.0
CUT_SECONDS_MAX = 2.0
CUT_LOOKS_SECONDS = 0.001
CUT_AFTER_SECONDS_MAX = 0.05


class MemberFaults:
    """The nemesis' room for members."""

    def __init__(self, nemesis: Nemesis) -> None:
        self._nemesis = nemesis
        self._cluster = nemesis.cluster

    # --- the leader, and who belongs to the cluster -----------------------------------------------

    async def move_leader(self) -> None:
        """The leader hands over."""
        with trio.move_on_after(3.0 * self._nemesis.plan.scale):
            await self._nemesis.changes.move_leader()

    async def grow(self) -> None:
        """A voter is added."""
        await self._nemesis.changes.add(learner=False)

    async def learner(self) -> None:
        """A learner is added, and promoted when it has caught up."""
        await self._nemesis.changes.add(learner=True)

    async def shrink(self) -> None:
        """A voter is removed: often the leader, and often it is cut off as soon as it knows of it itself."""
        nemesis = self._nemesis
        if not nemesis.majority_works(removed=1):
            return
        leader = self._cluster.leader_now() if nemesis.random.random() < 0.5 else None
        async with trio.open_nursery() as nursery:
            if nemesis.random.random() < 0.5:
                nursery.start_soon(self._cut_off_the_removed)
            await nemesis.changes.remove(nemesis.busy, leader)

    async def _cut_off_the_removed(self) -> None:
        """Nobody may have heard of the removal but the member itself, or of what it has done since then."""
        random = self._nemesis.random
        since = random.choice((0.0, random.uniform(0.0, CUT_AFTER_SECONDS_MAX)))
        with trio.move_on_after(CUT_SECONDS_MAX):
            while True:
                for machine in self._cluster.machines.values():
                    node = machine.node
                    if machine.leaving and node and node.member_id not in node.membership.members:
                        await trio.sleep(since)
                        self._nemesis.note(machine, "cut off, as it is removed")
                        self._cluster.partition([machine])
                        await self._nemesis.heal_later()
                        return
                await trio.sleep(CUT_LOOKS_SECONDS)

    async def remove_down(self) -> None:
        """A member that is down is removed; its old directory must not bring it back; then it joins anew."""
        nemesis = self._nemesis
        machine = nemesis.pick(lasting=True)
        if machine is None or not nemesis.majority_works(removed=1):
            return
        nemesis.busy.add(machine.name)
        await machine.kill()
        if not await nemesis.changes.remove_this(machine):
            await nemesis.down(machine, machine.kill)
            return
        nemesis.note(machine, "its member was removed while it was down")
        await nemesis.sleep(0.1, 2.0)
        self._cluster.start(machine)  # whose member does not know of it
        with trio.move_on_after(STARTED_SECONDS_MAX * nemesis.plan.scale):
            await machine.wait_down()
        await machine.kill()
        machine.wipe()
        machine.leaving = False
        self._cluster.forget_config(machine)
        await nemesis.changes.add_again(machine)
        nemesis.busy.discard(machine.name)

    async def update_urls(self) -> None:
        """A member is given the peer URLs that it has."""
        nemesis = self._nemesis
        machine = nemesis.pick()
        if machine is not None:
            await nemesis.changes.update(machine)

    # --- other settings ---------------------------------------------------------------------------

    async def other_flags(self) -> None:
        """A member is restarted with other settings, which suit it as well."""
        nemesis, random = self._nemesis, self._nemesis.random
        machine = nemesis.take()
        if machine is None:
            return
        await machine.stop()
        changes: dict[str, Any] = {
            "snapshot_count": random.choice((3, 10, 1000)),
            "snapshot_catchup_entries": random.choice((1, 10)),
            "backend_batch_limit": random.choice((1, 1000)),
            "max_wals": random.choice((1, 3)),
        }
        if random.random() < 0.3:
            # Less than twice that of the others, whose candidacies would reset its timer for ever.
            longer = nemesis.plan.settings["election_timeout"] * random.choice((1.2, 1.5))
            changes["election_timeout"] = min(longer, ELECTION_SECONDS_MAX)
        self._cluster.change_config(machine, **changes)
        nemesis.note(machine, f"other settings: {changes}")
        await nemesis.down(machine, machine.kill)

    async def wrong_flags(self) -> None:
        """A member is started with settings that do not fit its directory: refused, and nothing is changed."""
        nemesis, random = self._nemesis, self._nemesis.random
        machine = nemesis.pick()
        if machine is None or not machine.served:  # its directory says nothing yet
            return
        nemesis.busy.add(machine.name)
        nemesis.refused.add(machine.name)
        await machine.kill()
        right = self._cluster.config_now(machine)
        wrong: dict[str, Any] = {"backend": "memory"}
        if random.random() < 0.5 and right.wal_dir is None:
            wrong = {"wal_dir": Path(f"/{machine.name}/elsewhere")}
        self._cluster.change_config(machine, **wrong)
        nemesis.note(machine, f"wrong settings: {wrong}")
        self._cluster.start(machine)
        self._cluster.change_config(machine, **{name: getattr(right, name) for name in wrong})
        await machine.wait_started()
        if machine.node is not None:
            nemesis.unexpected.append(f"{machine.name} serves with {wrong}")
        await machine.kill()
        nemesis.refused.discard(machine.name)
        await nemesis.down(machine, machine.kill)

    async def stranger(self) -> None:
        """A member of another cluster has the address of one that is down, and answers in its place."""
        nemesis = self._nemesis
        machine = nemesis.take()
        if machine is None:
            return
        await machine.kill()
        stranger = self._cluster.start_stranger(machine)
        nemesis.note(machine, f"{stranger.name} of another cluster is at its address")
        try:
            await stranger.wait_started()
            await self._fill(stranger)
            await nemesis.sleep(1.0, 4.0)
        finally:
            with trio.CancelScope(shield=True):
                await self._cluster.stop_stranger(machine, stranger)
        await nemesis.down(machine, machine.kill)

    async def _fill(self, stranger: Machine) -> None:
        """Give it data of its own, at the revisions that the cluster has as well."""
        client = self._cluster.client(stranger)
        newest = self._cluster.newest_node()
        revision = newest.store.revision if newest is not None else 0
        try:
            while (await client.put(b"stranger", b"")).header.revision < revision:
                pass
        except EtcdError as error:
            nemesis = self._nemesis
            nemesis.note(stranger, f"refused a put: {error.message}")
