"""The members of a cluster: `client.cluster`."""

from __future__ import annotations

from collections.abc import Iterable

from ..rpc.pb.rpc_pb2 import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from .call import Caller

__all__ = ["Cluster"]


class Cluster:
    """Calls about members. Each response holds all `members` as they are afterwards."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def members(self) -> list[Member]:
        """The members: `ID`, `name`, `peerURLs`, `clientURLs`, `isLearner`."""
        response = await self.member_list()
        return list(response.members)

    async def member_list(self, *, linearizable: bool = True) -> MemberListResponse:
        """The members.

        Args:
            linearizable: as they are; False: as the member that answers knows them, which needs no quorum.
        """
        response: MemberListResponse = await self._caller.call(
            "Cluster/MemberList", MemberListRequest(linearizable=linearizable)
        )
        return response

    async def member_add(
        self, peer_urls: Iterable[str], *, learner: bool = False
    ) -> MemberAddResponse:
        """Add a member, which is started afterwards; the response tells its ID in `member`.

        Args:
            peer_urls: where the other members will reach it.
            learner: it takes part without a vote until it is promoted.

        Raises:
            PeerURLExist, MemberBadURLs, TooManyLearners, Unhealthy, MemberNotEnoughStarted: it cannot be added.
        """
        response: MemberAddResponse = await self._caller.call(
            "Cluster/MemberAdd", MemberAddRequest(peerURLs=list(peer_urls), isLearner=learner)
        )
        return response

    async def member_remove(self, member_id: int) -> MemberRemoveResponse:
        """Remove a member, for good. Raises MemberNotFound, Unhealthy."""
        response: MemberRemoveResponse = await self._caller.call(
            "Cluster/MemberRemove", MemberRemoveRequest(ID=member_id)
        )
        return response

    async def member_update(self, member_id: int, peer_urls: Iterable[str]) -> MemberUpdateResponse:
        """Tell where a member is reached by the others. Raises MemberNotFound, PeerURLExist, MemberBadURLs."""
        response: MemberUpdateResponse = await self._caller.call(
            "Cluster/MemberUpdate", MemberUpdateRequest(ID=member_id, peerURLs=list(peer_urls))
        )
        return response

    async def member_promote(self, member_id: int) -> MemberPromoteResponse:
        """Give a learner a vote. Raises MemberNotFound, MemberNotLearner, LearnerNotReady."""
        response: MemberPromoteResponse = await self._caller.call(
            "Cluster/MemberPromote", MemberPromoteRequest(ID=member_id)
        )
        return response
