"""State and upkeep of single members: `client.maintenance`.

Most of these calls concern the member that answers: say which with `endpoint`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..rpc.pb.rpc_pb2 import (
    AlarmMember,
    AlarmRequest,
    AlarmResponse,
    AlarmType,
    DefragmentRequest,
    DefragmentResponse,
    DowngradeRequest,
    DowngradeResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    SnapshotRequest,
    SnapshotResponse,
    StatusRequest,
    StatusResponse,
)
from .call import Caller
from .contract import ChannelStream

__all__ = ["Maintenance", "SnapshotStream"]


class SnapshotStream:
    """The bytes of a snapshot: `async for piece in snapshot`. The last 32 are the SHA-256 of those before.

    Attributes:
        remaining_bytes: how many bytes are still to come, as the server has said last; None before the first.
        version: the storage version, "" from servers that do not tell.
    """

    def __init__(self, stream: ChannelStream) -> None:
        self._stream = stream
        self.remaining_bytes: int | None = None
        self.version = ""

    def __aiter__(self) -> SnapshotStream:
        return self

    async def __anext__(self) -> bytes:
        data = await self._stream.receive()
        if data is None:
            raise StopAsyncIteration
        response = SnapshotResponse.FromString(data)
        self.remaining_bytes = response.remaining_bytes
        self.version = response.version or self.version
        return response.blob


class Maintenance:
    """Calls about members."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def status(self, endpoint: str | None = None) -> StatusResponse:
        """How a member is: `version`, `dbSize`, `leader`, `raftIndex`, `raftTerm`, `errors`, `isLearner` and more."""
        response: StatusResponse = await self._caller.call(
            "Maintenance/Status", StatusRequest(), endpoint=endpoint
        )
        return response

    async def defragment(self, endpoint: str | None = None) -> DefragmentResponse:
        """Give the space of deleted data back to the file system. An etcd member serves nobody meanwhile."""
        response: DefragmentResponse = await self._caller.call(
            "Maintenance/Defragment", DefragmentRequest(), endpoint=endpoint
        )
        return response

    async def hash(self, endpoint: str | None = None) -> HashResponse:
        """A hash of a member's whole backend, comparable between members at rest only."""
        response: HashResponse = await self._caller.call(
            "Maintenance/Hash", HashRequest(), endpoint=endpoint
        )
        return response

    async def hash_kv(self, endpoint: str | None = None, *, revision: int = 0) -> HashKVResponse:
        """A hash of a member's history up to `revision` (0: all), the same on every member.

        Raises:
            Compacted, FutureRev: the revision is gone, or has not been yet.
        """
        response: HashKVResponse = await self._caller.call(
            "Maintenance/HashKV", HashKVRequest(revision=revision), endpoint=endpoint
        )
        return response

    @asynccontextmanager
    async def snapshot(self, endpoint: str | None = None) -> AsyncIterator[SnapshotStream]:
        """A member's backend as it is now, in pieces: write them to a file one after the other.

        The file is what `etcdctl snapshot save` makes. Raises EtcdError from the iteration when the member is lost:
        then the file is not complete.
        """
        async with self._caller.stream("Maintenance/Snapshot", endpoint=endpoint) as stream:
            await stream.send(SnapshotRequest().SerializeToString())
            await stream.half_close()
            yield SnapshotStream(stream)

    async def move_leader(self, member_id: int, endpoint: str | None = None) -> MoveLeaderResponse:
        """Have the leader hand its office to a member. Ask the leader itself.

        Raises:
            NotLeader: the member that was asked does not lead.
            BadLeaderTransferee: there is no such member, or it has no vote.
        """
        response: MoveLeaderResponse = await self._caller.call(
            "Maintenance/MoveLeader", MoveLeaderRequest(targetID=member_id), endpoint=endpoint
        )
        return response

    # --- alarms -----------------------------------------------------------------------------------

    async def alarms(self) -> list[AlarmMember]:
        """The alarms that are on: `memberID` and `alarm` (NOSPACE, CORRUPT)."""
        response = await self._alarm(AlarmRequest(action=AlarmRequest.GET))
        return list(response.alarms)

    async def activate_alarm(self, member_id: int, alarm: AlarmType) -> AlarmResponse:
        """Raise an alarm for a member: a drill."""
        request = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=member_id, alarm=alarm)
        return await self._alarm(request)

    async def disarm(
        self, member_id: int = 0, alarm: AlarmType = AlarmType.NONE
    ) -> list[AlarmMember]:
        """Take an alarm back; without arguments, all. Returns those that were on.

        Args:
            member_id: whose; 0 and `NONE`: everybody's.
            alarm: which.
        """
        if member_id or alarm != AlarmType.NONE:
            found = [AlarmMember(memberID=member_id, alarm=alarm)]
        else:
            found = await self.alarms()
        disarmed: list[AlarmMember] = []
        for one in found:
            request = AlarmRequest(
                action=AlarmRequest.DEACTIVATE, memberID=one.memberID, alarm=one.alarm
            )
            disarmed += (await self._alarm(request)).alarms
        return disarmed

    async def _alarm(self, request: AlarmRequest) -> AlarmResponse:
        response: AlarmResponse = await self._caller.call("Maintenance/Alarm", request)
        return response

    # --- downgrades -------------------------------------------------------------------------------

    async def downgrade_validate(self, version: str) -> DowngradeResponse:
        """Whether the cluster could go down to a version ("3.5").

        Raises:
            InvalidDowngradeTargetVersion, WrongDowngradeVersionFormat: it could not.
            DowngradeInProcess: it is doing so.
        """
        return await self._downgrade(DowngradeRequest.VALIDATE, version)

    async def downgrade_enable(self, version: str) -> DowngradeResponse:
        """Let the members be replaced by those of a lower version. Raises as `downgrade_validate`."""
        return await self._downgrade(DowngradeRequest.ENABLE, version)

    async def downgrade_cancel(self) -> DowngradeResponse:
        """Stay at the version. Raises NoInflightDowngrade."""
        return await self._downgrade(DowngradeRequest.CANCEL, "")

    async def _downgrade(
        self, action: DowngradeRequest.DowngradeAction, version: str
    ) -> DowngradeResponse:
        response: DowngradeResponse = await self._caller.call(
            "Maintenance/Downgrade", DowngradeRequest(action=action, version=version)
        )
        return response
