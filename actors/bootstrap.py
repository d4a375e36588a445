"""What a node is when it starts: a first member of a new cluster, a new member of an existing one, or a restart.

The log decides: a member that has one goes on as who it was, whatever `initial-cluster` says. A new member takes
part in writing the cluster's first configuration (`new`), or asks the others who it is to be (`existing`).
Source: etcd's bootstrap; the rules are functions here, `plan` does the asking.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import attrs

from ..config import Config, parse_initial_cluster
from ..errors import ConfigError, JoinRefused, MemberRemoved
from ..raft.bootstrap import Peer
from ..version import SERVER_VERSION
from . import existing_cluster as existing
from .cluster_version import parse_version
from .existing_cluster import ExistingCluster
from .log import Log
from .member import Member, cluster_id, member_id
from .same_urls import Resolve, no_name_is_resolved, resolve_host, same_urls
from .world import World

__all__ = [
    "Bootstrap",
    "Initialized",
    "check_advertised",
    "first_members",
    "join",
    "new_cluster",
    "plan",
    "restart",
]

log = Log("triode.bootstrap")
BOOTSTRAPPED_SECONDS_MAX = 1.0
"""How long a new member asks the others of a new cluster whether it has been here before."""
JOIN_SECONDS_MAX = 10.0

Urls = Mapping[str, Sequence[str]]
"""Peer URLs by the member's name."""


@attrs.frozen
class Bootstrap:
    """Who a node is and what it begins with.

    Attributes:
        peers: for `RawNode.bootstrap`: the first members of a new cluster in the order of their IDs, with
            etcd's contexts, so that every member begins its log with the same entries; empty otherwise.
        members: who can be talked to before the log has said who the members are; empty after a restart.
        restarts: there was a log.
        removed: this member was removed, but nobody confirms it: it takes part in raft until somebody does.
    """

    member_id: int
    cluster_id: int
    peers: tuple[Peer, ...] = ()
    members: tuple[Member, ...] = ()
    restarts: bool = False
    removed: bool = False


@attrs.frozen
class Initialized:
    """What a member that has run before finds: its IDs in the log, the table and the cluster's version in the backend."""

    member_id: int
    cluster_id: int
    members: Mapping[int, Member] = attrs.field(factory=dict)
    removed: Container[int] = ()
    version: str | None = None


async def plan(config: Config, world: World, found: Initialized | None = None) -> Bootstrap:
    """Decide; `found` is None for a member without a log.

    To be called before the peer listeners are bound: the first members of a cluster ask each other whether
    they have been bootstrapped before, and a bound listener that nobody serves yet would let them wait.

    Raises:
        ConfigError: the settings of the cluster contradict each other, or what the existing cluster says.
        JoinRefused: the existing cluster could not be asked, or this member does not fit into it.
        MemberRemoved: the cluster has removed this member.
    """
    if found is not None:
        decided = restart(config, found)
        if decided.removed:
            await _confirm_removal(world, found)
        return decided
    urls = await _initial_urls(config)
    if config.initial_cluster_state == "existing":
        return await _join(config, world, urls)
    mine = urls.get(config.name, ())
    await check_advertised(config, mine)
    decided = new_cluster(config, urls)
    known = await existing.ask_members(
        world,
        _others(config, urls),
        ours=lambda cluster: (
            cluster.cluster_id == decided.cluster_id or cluster.knows(decided.member_id)
        ),
        seconds_max=BOOTSTRAPPED_SECONDS_MAX,
    )
    refuse_bootstrapped(decided.member_id, known)
    return decided


# --- the rules ----------------------------------------------------------------------------------


def restart(config: Config, found: Initialized) -> Bootstrap:
    """Go on; raises JoinRefused if the cluster speaks a version that this server does not know."""
    version, own = parse_version(found.version or ""), parse_version(SERVER_VERSION)
    if version is not None and own is not None and version[:2] > own[:2]:
        raise JoinRefused(
            "invalid downgrade; server version is lower than determined cluster version: this server is of"
            f" {SERVER_VERSION}, its data are of a cluster of {found.version}. Start a newer server, or begin a"
            " new cluster with `triodeutl snapshot restore`"
        )
    _look_at_learners(config, found.members)
    if config.discovery_srv:
        log.warning(
            "discovery-srv is ignored since the cluster has been initialized",
            discovery_srv=config.discovery_srv,
        )
    removed = found.member_id in found.removed
    return Bootstrap(found.member_id, found.cluster_id, restarts=True, removed=removed)


async def _confirm_removal(world: World, found: Initialized) -> None:
    """Raise MemberRemoved if another member knows that this one was removed; see `departure`."""
    urls = [url for member in found.members.values() for url in member.peer_urls]
    known = await existing.ask_members(
        world,
        urls,
        ours=lambda cluster: (
            cluster.cluster_id == found.cluster_id and not cluster.knows(found.member_id)
        ),
        seconds_max=BOOTSTRAPPED_SECONDS_MAX,
    )
    if known is None or known.cluster_id != found.cluster_id:
        log.warning(
            "removed from the cluster, as this member's log says, but no other member answers"
        )
    elif not known.knows(found.member_id):
        raise MemberRemoved(
            "the member has been permanently removed from the cluster; to start it as a new one, add it"
            " again and remove its data directory"
        )


def first_members(config: Config, urls: Urls) -> list[Member]:
    """The first members of a new cluster by ID; raises ConfigError."""
    _check_local(config, urls)
    members: dict[int, Member] = {}
    for name, peer_urls in urls.items():
        identity = member_id(peer_urls, config.initial_cluster_token)
        if identity in members or not identity:
            raise ConfigError(f"initial-cluster: member {name!r} cannot have the ID {identity:x}")
        members[identity] = Member(identity, tuple(sorted(peer_urls)), name=name)
    return [members[identity] for identity in sorted(members)]


def new_cluster(config: Config, urls: Urls) -> Bootstrap:
    """Begin a cluster of the members in `urls`, this one among them; raises ConfigError."""
    members = first_members(config, urls)
    mine = next(member for member in members if member.name == config.name)
    return Bootstrap(
        mine.id,
        cluster_id(member.id for member in members),
        peers=tuple(Peer(member.id, member.to_json()) for member in members),
        members=tuple(members),
    )


def refuse_bootstrapped(mine: int, known: ExistingCluster | None) -> None:
    """Raise JoinRefused if the others know this member as one that has run: its data has been lost."""
    member = known and next((one for one in known.members if one.id == mine), None)
    if member and member.client_urls:
        raise JoinRefused(
            f"member {mine:x} has already been bootstrapped: its data was lost or `data-dir` has changed;"
            " remove it from the cluster, add it again and start it with initial-cluster-state 'existing'"
        )


async def join(
    config: Config, urls: Urls, cluster: ExistingCluster, resolve: Resolve = no_name_is_resolved
) -> Bootstrap:
    """Become the member of `cluster` that has this one's URLs; raises ConfigError.

    Etcd's ValidateClusterAndAssignIDs: all members that `urls` names must be those of the cluster.
    """
    _check_local(config, urls)
    if len(urls) != len(cluster.members):
        raise ConfigError(
            "initial-cluster: error validating peer URLs: member count is unequal:"
            f" {len(urls)} are named, the cluster has {len(cluster.members)} ({_shown(cluster)})"
        )
    ids: dict[str, int] = {}
    for member in cluster.members:
        for name, peer_urls in urls.items():
            if await same_urls(member.peer_urls, peer_urls, resolve):
                ids[name] = member.id
                break
        else:
            raise ConfigError(
                "initial-cluster: error validating peer URLs: PeerURLs: no match found for existing member"
                f" ({member.id:x}, {' '.join(member.peer_urls)})"
            )
    if config.name not in ids:  # two existing members have the same URLs
        raise ConfigError(f"initial-cluster: {config.name!r} is none of {_shown(cluster)}")
    _look_at_learners(config, {member.id: member for member in cluster.members})
    return Bootstrap(ids[config.name], cluster.cluster_id, members=cluster.members)


def _shown(cluster: ExistingCluster) -> str:
    return ", ".join(f"{m.id:x}={' '.join(m.peer_urls)}" for m in cluster.members)


def _check_local(config: Config, urls: Urls) -> None:
    """What holds for every kind of start without a log; raises ConfigError."""
    if config.name not in urls:
        raise ConfigError(
            f'initial-cluster: couldn\'t find local name "{config.name}" in the initial cluster'
            " configuration; add NAME=URL for it or set `name`"
        )
    every = [url for peer_urls in urls.values() for url in peer_urls]
    if len(set(every)) < len(every):
        pairs = sorted(f"{name}={url}" for name in urls for url in urls[name])
        raise ConfigError(f"initial-cluster: initial cluster {','.join(pairs)} has duplicate url")
    for url in every:
        if url.startswith(("https:", "unixs:")):
            raise ConfigError(f"initial-cluster: {url!r}: TLS is not supported yet")


def _look_at_learners(config: Config, members: Mapping[int, Member]) -> None:
    """Warn of more than there should be. Two additions at once may have made them, and a start mends nothing."""
    learners = sum(member.is_learner for member in members.values())
    if learners > config.max_learners:
        log.warning(
            "too many learner members in cluster",
            learners=learners,
            max_learners=config.max_learners,
        )


# --- asking -------------------------------------------------------------------------------------


async def _initial_urls(config: Config) -> Urls:
    if config.discovery_srv:
        from .discovery import srv_members

        return await srv_members(config)
    if config.initial_cluster:
        return parse_initial_cluster(config.initial_cluster)
    return {config.name: tuple(sorted(config.initial_advertise_peer_urls))}


async def check_advertised(config: Config, mine: Sequence[str]) -> None:
    """What this member tells of itself must be what the others are told; host names are resolved."""
    advertised = config.initial_advertise_peer_urls
    if not mine or await same_urls(advertised, mine, resolve_host):
        return
    missing = sorted(set(mine) - set(advertised))
    if missing:
        pairs = ",".join(f"{config.name}={url}" for url in missing)
        raise ConfigError(
            f"initial-cluster: --initial-cluster has {pairs} but missing from"
            f" --initial-advertise-peer-urls={','.join(advertised)}"
        )
    raise ConfigError(
        f"initial-cluster: --initial-advertise-peer-urls has"
        f" {','.join(sorted(set(advertised) - set(mine)))} but missing from"
        f" --initial-cluster={','.join(f'{config.name}={url}' for url in mine)}"
    )


def _others(config: Config, urls: Urls) -> list[str]:
    """Where the other members are."""
    return sorted(url for name in urls if name != config.name for url in urls[name])


async def _join(config: Config, world: World, urls: Urls) -> Bootstrap:
    _check_local(config, urls)
    # it has been told of this member before
    cluster = await existing.agreed_members(
        world, _others(config, urls), set(urls[config.name]), seconds_max=JOIN_SECONDS_MAX
    )
    if cluster is None:
        raise JoinRefused(
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from"
            f" the given URLs ({', '.join(_others(config, urls)) or 'none'})"
        )
    decided = await join(config, urls, cluster, resolve_host)
    others = tuple(member for member in cluster.members if member.id != decided.member_id)
    await existing.check_versions(
        world, attrs.evolve(cluster, members=others), seconds_max=JOIN_SECONDS_MAX
    )
    log.info(
        "joining an existing cluster",
        cluster_id=f"{decided.cluster_id:x}",
        local_member_id=f"{decided.member_id:x}",
    )
    return decided
