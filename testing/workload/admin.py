"""Who looks after a cluster under load: hashes, snapshots, defragmentation, alarms, downgrades, lists of members.

But for compactions none of it is in the history that the checkers judge; what can be wrong is found here. A member that holds something
else than another at one revision has diverged, a snapshot that cannot be read saves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import trio

from ...backends.bbolt_file import BboltView
from ...errors import EtcdError, StorageError
from ...mvcc.restore import read_state
from ...rpc.pb.rpc_pb2 import (
    AlarmRequest,
    DefragmentRequest,
    DowngradeRequest,
    HashKVRequest,
    HashRequest,
    MemberListRequest,
    SnapshotRequest,
    StatusRequest,
)
from ..checkers import requests as r
from .client import Endpoints, RecordingClient

__all__ = ["Admin"]

NOSPACE, CORRUPT = 1, 2
GET, DEACTIVATE = 0, 2
VALIDATE, ENABLE, CANCEL = 0, 1, 2
PAUSE_SECONDS = (0.05, 0.6)
REPLY_SECONDS_MAX = 5.0
DIGEST_BYTES = 32


class Admin:
    """One administrator.

    Attributes:
        violations: what was wrong, in words.
    """

    def __init__(
        self, client: RecordingClient, endpoints: Endpoints, random: Random, scale: float = 1.0
    ) -> None:
        """`client` is for what belongs into the history."""
        self.violations: list[str] = []
        self._client = client
        self._endpoints = endpoints
        self._random = random
        self._scale = scale
        self._hashes: dict[tuple[int, int], tuple[int, int]] = {}

    async def run(self) -> None:
        """Do one thing after the other until cancelled."""
        duties: list[Callable[[Any], Awaitable[None]]] = [
            self.hash_kv,
            self.hash_kv,
            self.hash,
            self.snapshot,
            self.defragment,
            self.make_space,
            self.downgrade,
            self.members,
            self.status,
        ]
        while True:
            await trio.sleep(self._random.uniform(*PAUSE_SECONDS) * self._scale)
            duty = self._random.choice(duties)
            _, endpoint = self._endpoints()
            try:
                with trio.move_on_after(REPLY_SECONDS_MAX * self._scale):
                    await duty(endpoint)
            except EtcdError:
                pass  # it is tried again some time

    async def hash_kv(self, endpoint: Any) -> None:
        """HashKV, of the present or of some revision: equal on all members that have compacted as far."""
        revision = 0
        if self._hashes and self._random.random() < 0.5:
            revision = self._random.choice(list(self._hashes))[0]
        found = await endpoint.call("Maintenance/HashKV", HashKVRequest(revision=revision))
        at = found.hash_revision, found.compact_revision
        known, who = self._hashes.setdefault(at, (found.hash, found.header.member_id))
        if known != found.hash:
            self.violations.append(
                f"at revision {at[0]}, compacted to {at[1]}, member {who:x} has the hash {known}"
                f" and {found.header.member_id:x} {found.hash}"
            )

    async def hash(self, endpoint: Any) -> None:
        """The hash of the whole backend, which says nothing about another member's."""
        await endpoint.call("Maintenance/Hash", HashRequest())

    async def snapshot(self, endpoint: Any) -> None:
        """A snapshot, which has to be whole, and to hold a store."""
        parts = []
        async with endpoint.stream("Maintenance/Snapshot") as stream:
            await stream.send(SnapshotRequest())
            while True:
                try:
                    parts.append((await stream.receive()).blob)
                except trio.EndOfChannel:
                    break
        data = b"".join(parts)
        image, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if hashlib.sha256(image).digest() != digest:
            self.violations.append("a snapshot's digest is not that of its bytes")
            return
        try:
            with BboltView(Path("snapshot"), image) as view:
                read_state(view)
        except StorageError as error:
            self.violations.append(f"a snapshot cannot be read: {error}")

    async def defragment(self, endpoint: Any) -> None:
        await endpoint.call("Maintenance/Defragment", DefragmentRequest())

    async def make_space(self, endpoint: Any) -> None:
        """If there is the alarm: compact, defragment, disarm it. CORRUPT is never to be raised."""
        alarms = (await endpoint.call("Maintenance/Alarm", AlarmRequest(action=GET))).alarms
        for alarm in alarms:
            if alarm.alarm == CORRUPT:
                self.violations.append(f"member {alarm.memberID:x} is said to be corrupt")
        if not any(alarm.alarm == NOSPACE for alarm in alarms):
            return
        status = await endpoint.call("Maintenance/Status", StatusRequest())
        await self._client.do(r.Compact(status.header.revision, physical=True), endpoint)
        await self.defragment(endpoint)
        for alarm in alarms:
            if alarm.alarm == NOSPACE:
                disarm = AlarmRequest(action=DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm)
                await endpoint.call("Maintenance/Alarm", disarm)

    async def downgrade(self, endpoint: Any) -> None:
        """Begin a downgrade and take it back, or one of these."""
        status = await endpoint.call("Maintenance/Status", StatusRequest())
        major, minor, *_ = status.version.split(".")
        version = f"{major}.{int(minor) - 1}.0"
        action = self._random.choice((VALIDATE, ENABLE, CANCEL, CANCEL))
        request = DowngradeRequest(action=action, version=version)
        await endpoint.call("Maintenance/Downgrade", request)

    async def members(self, endpoint: Any) -> None:
        """A linearizable list of the members: nobody twice."""
        request = MemberListRequest(linearizable=True)
        found = (await endpoint.call("Cluster/MemberList", request)).members
        if len({member.ID for member in found}) != len(found):
            self.violations.append(f"a member is listed twice: {[m.ID for m in found]}")

    async def status(self, endpoint: Any) -> None:
        """Status: no member has applied more than its log has."""
        found = await endpoint.call("Maintenance/Status", StatusRequest())
        if found.raftAppliedIndex > found.raftIndex:
            self.violations.append(
                f"member {found.header.member_id:x} has applied {found.raftAppliedIndex}"
                f" of {found.raftIndex}"
            )
