"""What the members of a running cluster tell one that has no links yet: over plain HTTP, at their peer URLs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

import attrs
import trio

from ..errors import JoinRefused
from ..rpc.peer_heads import of_other_cluster
from ..version import SERVER_VERSION
from .cluster_version import parse_version
from .log import Log
from .member import Member
from .peers.contract import PeerReply
from .world import World

__all__ = [
    "ExistingCluster",
    "Versions",
    "agreed_members",
    "ask_members",
    "check_versions",
    "compatible",
    "read_members",
    "read_versions",
]

log = Log("triode.bootstrap")
T = TypeVar("T")
MIN_CLUSTER_VERSION: Final = (3, 0, 0)
AGREE_SECONDS_MAX: Final = 1.0
AGREE_PAUSE_SECONDS: Final = 0.2


@attrs.frozen
class ExistingCluster:
    """What `/members` says."""

    cluster_id: int
    members: tuple[Member, ...]

    def knows(self, member: int) -> bool:
        """Whether a member has this ID."""
        return any(one.id == member for one in self.members)

    def at(self, urls: AbstractSet[str]) -> int | None:
        """The ID of the member with one of these peer URLs; None if there is none."""
        return next((one.id for one in self.members if urls & set(one.peer_urls)), None)


@attrs.frozen
class Versions:
    """What `/version` says: the member's own version, and the cluster's as far as it is decided."""

    server: str
    cluster: str


def read_members(reply: PeerReply) -> ExistingCluster | None:
    """Read an answer to `GET /members`; None if it is not one."""
    try:
        cluster = int(reply.headers.get("x-etcd-cluster-id", ""), 16)
        members = tuple(Member.of_record(record) for record in json.loads(reply.body))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return ExistingCluster(cluster, members) if reply.status == 200 and members else None


def read_versions(reply: PeerReply) -> Versions | None:
    """Read an answer to `GET /version`; None if it is not one."""
    try:
        record = json.loads(reply.body)
        versions = Versions(str(record["etcdserver"]), str(record.get("etcdcluster", "")))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return versions if reply.status == 200 else None


def compatible(
    versions: Iterable[Versions | None], *, downgrading: bool, server: str = SERVER_VERSION
) -> bool:
    """Whether a member of version `server` can join.

    At least one member must tell the cluster's version and all that do must tell one between 3.0 and ours; while
    the cluster is being downgraded, one minor version above ours. None is a member that did not answer.
    """
    ours = parse_version(server)
    assert ours is not None
    lowest, highest = MIN_CLUSTER_VERSION, (ours[0], ours[1], 0)
    if downgrading:
        lowest = highest = (ours[0], ours[1] + 1, 0)
    told = [parse_version(each.cluster) for each in versions if each is not None]
    decided = [version for version in told if version is not None]
    return bool(decided) and all(lowest <= version <= highest for version in decided)


# --- asking -------------------------------------------------------------------------------------


async def ask_members(
    world: World,
    urls: Sequence[str],
    *,
    ours: Callable[[ExistingCluster], bool],
    seconds_max: float,
) -> ExistingCluster | None:
    """Ask all `urls` at once for the members: the first answer of a cluster that is `ours`, or None.

    If there is none, it is any other: what does not fit is told with what was found. An address may belong to
    another cluster by now, which may be the first to answer.
    """
    others: list[ExistingCluster] = []

    def read(reply: PeerReply) -> ExistingCluster | None:
        found = read_members(reply)
        if found is None or ours(found):
            return found
        others.append(found)
        return None

    found = await _first(world, urls, "/members", read, seconds_max)
    return next(iter(others), None) if found is None else found


async def agreed_members(
    world: World, urls: Sequence[str], mine: AbstractSet[str], *, seconds_max: float
) -> ExistingCluster | None:
    """Ask all `urls` at once for the members, among whom there should be one with the peer URLs `mine`.

    That URL may have belonged to a member that was removed before. Who has not applied the removal yet, and the
    addition after it, tells the old member's ID, with which nobody would be let in. So a majority of `urls` must agree
    on the ID, or all of the cluster that answer within a second; otherwise they are asked again, for up to
    `seconds_max`, and then the answer that most give is taken. If there is no such member, it is as with `ask_members`.
    (etcd takes the first answer.)
    """
    majority = len(urls) // 2 + 1
    answers: list[ExistingCluster] = []
    with trio.move_on_after(seconds_max):
        while True:
            answers = await _answers(
                world,
                urls,
                "/members",
                read_members,
                min(AGREE_SECONDS_MAX, seconds_max),
                enough=lambda answers: _most(answers, mine, majority) is not None,
            )
            clusters = {one.cluster_id for one in answers if one.at(mine) is not None}
            theirs = sum(one.cluster_id in clusters for one in answers)
            if not clusters or _most(answers, mine, min(majority, theirs)) is not None:
                break
            await trio.sleep(AGREE_PAUSE_SECONDS)
    found = _most(answers, mine, 1)
    if found is not None:
        return found
    return await ask_members(
        world, urls, ours=lambda cluster: cluster.at(mine) is not None, seconds_max=seconds_max
    )


def _most(
    answers: Sequence[ExistingCluster], mine: AbstractSet[str], votes_min: int
) -> ExistingCluster | None:
    """The answer whose ID for the member at `mine` most give, if those are at least so many."""
    counted = Counter((one.cluster_id, one.at(mine)) for one in answers)
    told = [one for one in answers if one.at(mine) is not None]
    found = max(told, key=lambda one: counted[one.cluster_id, one.at(mine)], default=None)
    enough = found is not None and counted[found.cluster_id, found.at(mine)] >= votes_min
    return found if enough else None


async def check_versions(world: World, cluster: ExistingCluster, *, seconds_max: float) -> None:
    """Raise JoinRefused if a member of this version does not fit in with the members of `cluster`."""
    versions: dict[int, Versions | None] = {}
    downgrades: dict[int, bool | None] = {}

    def of_cluster(read: Callable[[PeerReply], T | None]) -> Callable[[PeerReply], T | None]:
        def read_ours(reply: PeerReply) -> T | None:
            if of_other_cluster(reply.headers, cluster.cluster_id):
                raise OSError("it belongs to another cluster")
            return read(reply)

        return read_ours

    async def ask(member: Member) -> None:
        urls = member.peer_urls
        versions[member.id] = await _first(
            world, urls, "/version", of_cluster(read_versions), seconds_max
        )
        downgrades[member.id] = await _first(
            world, urls, "/downgrade/enabled", of_cluster(_read_flag), seconds_max
        )

    async with trio.open_nursery() as nursery:
        for member in cluster.members:
            nursery.start_soon(ask, member)
    if not compatible(versions.values(), downgrading=any(downgrades.values())):
        told = {f"{member:x}": each and each.cluster for member, each in sorted(versions.items())}
        raise JoinRefused(
            f"incompatible with current running cluster: this member is of version {SERVER_VERSION},"
            f" the others say that the cluster is of {told}"
        )


def _read_flag(reply: PeerReply) -> bool | None:
    return {b"true": True, b"false": False}.get(reply.body) if reply.status == 200 else None


async def _first(
    world: World,
    urls: Sequence[str],
    target: str,
    read: Callable[[PeerReply], T | None],
    seconds_max: float,
) -> T | None:
    found = await _answers(world, urls, target, read, seconds_max, enough=bool)
    return found[0] if found else None


async def _answers(
    world: World,
    urls: Sequence[str],
    target: str,
    read: Callable[[PeerReply], T | None],
    seconds_max: float,
    *,
    enough: Callable[[list[T]], bool],
) -> list[T]:
    """What those say who answer, until that is `enough` or all have been asked."""
    found: list[T] = []

    async def ask(url: str) -> None:
        try:
            reply = await world.ask_url(world.network, url, target, seconds_max=seconds_max)
            answer = read(reply)
        except OSError as error:
            log.info("a peer URL did not answer", url=url + target, error=str(error))
            return
        if answer is None:
            log.info("a peer URL answered something else", url=url + target, status=reply.status)
            return
        found.append(answer)
        if enough(found):
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for url in urls:
            nursery.start_soon(ask, url)
    return found
