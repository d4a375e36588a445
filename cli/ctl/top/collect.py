"""Asks the members. All are asked at once, and one that does not answer holds nobody up for long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from google.protobuf.message import Message

from ....client.tls import TLS
from ....errors import EtcdError
from ....rpc.pb.rpc_pb2 import (
    NONE,
    AlarmRequest,
    AlarmType,
    LeaseLeasesRequest,
    MemberListRequest,
    StatusRequest,
)
from ..http_get import PageError, fetch
from .actors import ACTORS_PATH, actors_of
from .metrics import Metrics, parse
from .sample import Actor, MemberSample, Sample

if TYPE_CHECKING:
    from ....client.client import Client

__all__ = ["Collector"]

ANSWER_SECONDS_MAX: Final = 2.0


@attrs.define(eq=False)
class Collector:
    """Takes samples of a cluster.

    Args:
        client: makes the calls.
        endpoints: of the members to ask.
        tls: for their HTTP pages; None: plain.
        actors: ask Triode members for their actors, too.
    """

    client: Client
    endpoints: Sequence[str]
    tls: TLS | None = None
    actors: bool = True
    _without_actors: set[str] = attrs.Factory(set)  # endpoints that have no such page

    async def sample(self) -> Sample:
        """One look. What cannot be had is left out; nothing is raised."""
        asked: dict[str, MemberSample] = {}
        answers: dict[str, Any] = {}

        async def member(endpoint: str) -> None:
            asked[endpoint] = await self._member(endpoint)

        async def call(method: str, request: Message) -> None:
            answers[method] = await self._call(method, request)

        async with trio.open_nursery() as nursery:
            for endpoint in self.endpoints:
                nursery.start_soon(member, endpoint)
            nursery.start_soon(call, "Cluster/MemberList", MemberListRequest())
            nursery.start_soon(call, "Maintenance/Alarm", AlarmRequest(alarm=NONE))
            nursery.start_soon(call, "Lease/LeaseLeases", LeaseLeasesRequest())
        listed, leases = answers["Cluster/MemberList"], answers["Lease/LeaseLeases"]
        names = {one.ID: one.name or f"{one.ID:x}" for one in listed.members} if listed else {}
        samples = tuple(
            attrs.evolve(asked[at], name=names.get(asked[at].member_id, ""))
            for at in self.endpoints
        )
        return Sample(
            at=trio.current_time(),
            cluster_id=listed.header.cluster_id if listed else 0,
            members=samples,
            alarms=_alarms(answers["Maintenance/Alarm"], names),
            leases=len(leases.leases) if leases else None,
            unasked=_unasked(samples, names),
        )

    async def _call(self, method: str, request: Message, endpoint: str | None = None) -> Any:
        """The answer, or None. Without a leader most calls fail, and the view goes on."""
        with trio.move_on_after(ANSWER_SECONDS_MAX):
            try:
                return await self.client.call(method, request, endpoint=endpoint)
            except EtcdError:
                return None
        return None

    async def _member(self, endpoint: str) -> MemberSample:
        pages: dict[str, Any] = {}

        async def metrics() -> None:
            pages["metrics"] = await self._metrics(endpoint)

        async def actors() -> None:
            pages["actors"] = await self._actors(endpoint)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(metrics)
            nursery.start_soon(actors)
            sample = await self._status(endpoint)
        return attrs.evolve(sample, metrics=pages["metrics"], actors=pages["actors"])

    async def _status(self, endpoint: str) -> MemberSample:
        try:
            with trio.fail_after(ANSWER_SECONDS_MAX):
                status = await self.client.call(
                    "Maintenance/Status", StatusRequest(), endpoint=endpoint
                )
        except (EtcdError, trio.TooSlowError) as error:
            return MemberSample(endpoint, error=str(error) or "no answer")
        return MemberSample(
            endpoint,
            member_id=status.header.member_id,
            version=status.version,
            leader_id=status.leader,
            is_learner=status.isLearner,
            db_size=status.dbSize,
            db_in_use=status.dbSizeInUse,
            quota=status.dbSizeQuota,
            term=status.raftTerm,
            index=status.raftIndex,
            applied=status.raftAppliedIndex,
            revision=status.header.revision,
            errors=tuple(status.errors),
        )

    async def _metrics(self, endpoint: str) -> Metrics | None:
        try:
            page = await fetch(endpoint, "/metrics", tls=self.tls, seconds=ANSWER_SECONDS_MAX)
        except PageError:
            return None
        return parse(page.decode("utf-8", "replace"))

    async def _actors(self, endpoint: str) -> tuple[Actor, ...]:
        if not self.actors or endpoint in self._without_actors:
            return ()
        try:
            page = await fetch(endpoint, ACTORS_PATH, tls=self.tls, seconds=ANSWER_SECONDS_MAX)
            return actors_of(page)
        except (PageError, ValueError) as error:
            if isinstance(error, ValueError) or "HTTP status" in str(error):
                self._without_actors.add(endpoint)  # not one of ours, or it does not say
            return ()


def _alarms(answer: Any, names: Mapping[int, str]) -> tuple[str, ...]:
    if answer is None:
        return ()
    return tuple(
        f"{AlarmType.Name(one.alarm)} on {names.get(one.memberID, f'{one.memberID:x}')}"
        for one in answer.alarms
    )


def _unasked(samples: Sequence[MemberSample], names: Mapping[int, str]) -> tuple[str, ...]:
    """Members that none of the endpoints belongs to; unknown while one of those is down."""
    if any(one.error for one in samples):
        return ()
    asked = {one.member_id for one in samples}
    return tuple(name for number, name in names.items() if number not in asked)
