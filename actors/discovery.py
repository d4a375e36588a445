"""The first members of a cluster by DNS: SRV records `_etcd-server._tcp.DOMAIN`, and `-ssl` for TLS.

Each record is a member with one peer URL. The one whose address is an address of this member's own advertised
URLs gets this member's name; the others are numbered until they tell theirs. As IDs come from URLs alone, the
numbers may differ from member to member.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from ..config import Config, parse_initial_cluster
from ..errors import ConfigError, JoinRefused
from .log import Log
from .same_urls import Resolve, is_address, resolve_host

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

__all__ = ["Lookup", "SrvRecord", "lookup_srv", "members_of", "service_name", "srv_members"]

log = Log("triode.bootstrap")
LOOKUP_SECONDS_MAX = 30.0


@attrs.frozen(order=True)
class SrvRecord:
    """Where a service is (RFC 2782). They are taken in this order, so that all members see the same one."""

    priority: int
    weight: int
    target: str
    port: int

    @property
    def authority(self) -> str:
        """HOST:PORT, without the dot that ends a name in DNS."""
        host = self.target.rstrip(".")
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


Lookup = Callable[[str], Awaitable[list[SrvRecord]]]
"""The SRV records of a name; raises OSError if there are none, or nobody answers."""
Place = tuple[str, int]


async def lookup_srv(name: str) -> list[SrvRecord]:
    """Ask the resolvers that the system is configured with."""
    from dns.asyncresolver import Resolver
    from dns.exception import DNSException

    try:
        return await lookup_with(Resolver(), name)
    except DNSException as error:  # there is no configuration
        raise OSError(f"cannot look up {name}: {error}") from error


async def lookup_with(resolver: Resolver, name: str) -> list[SrvRecord]:
    """Ask a resolver of dnspython."""
    from dns.exception import DNSException

    try:
        answer = await resolver.resolve(name, "SRV", lifetime=LOOKUP_SECONDS_MAX)
    except DNSException as error:
        raise OSError(f"cannot look up {name}: {error}") from error
    return sorted(
        SrvRecord(each.priority, each.weight, each.target.to_text(), each.port) for each in answer
    )


def service_name(config: Config, scheme: str) -> str:
    """The name that the records of `scheme` are under, such as `_etcd-server._tcp.example.com`."""
    service = "etcd-server" + ("-ssl" if scheme == "https" else "")
    if config.discovery_srv_name:
        service += f"-{config.discovery_srv_name}"
    return f"_{service}._tcp.{config.discovery_srv}"


def members_of(
    name: str,
    scheme: str,
    records: Iterable[SrvRecord],
    own: Mapping[Place, str],
    addresses: Mapping[str, frozenset[str]],
) -> list[str]:
    """NAME=URL for each record.

    Args:
        name: this member's.
        scheme: http or https.
        records: of one service.
        own: the scheme of this member's advertised URLs by address and port.
        addresses: of the records' targets; those without are left out.
    """
    pairs = []
    numbered = 0
    for record in records:
        places = [(address, record.port) for address in addresses.get(record.target, ())]
        if not places:
            continue
        url = f"{scheme}://{record.authority}"
        schemes = {own[place] for place in places if place in own}
        if schemes and scheme not in schemes:
            log.warning("a peer from DNS has another scheme than this member advertises", url=url)
        elif schemes:
            pairs.append(f"{name}={url}")
        else:
            pairs.append(f"{numbered}={url}")
            numbered += 1
    return pairs


async def srv_members(
    config: Config, *, lookup: Lookup = lookup_srv, resolve: Resolve = resolve_host
) -> dict[str, tuple[str, ...]]:
    """The peer URLs of each member, by its name.

    Raises:
        JoinRefused: there are no records, or nobody answers.
        ConfigError: this member is none of them.
    """
    own = await _own_places(config.initial_advertise_peer_urls, resolve)
    pairs: list[str] = []
    reasons = []
    for scheme in ("https", "http"):
        service = service_name(config, scheme)
        try:
            records = await lookup(service)
        except OSError as error:
            reasons.append(str(error))
            continue
        addresses = {each.target: await _addresses(each.target, resolve) for each in records}
        found = members_of(config.name, scheme, records, own, addresses)
        log.info("got bootstrap from DNS for etcd-server", service=service, members=found)
        pairs += found
    if not pairs:
        raise JoinRefused(f"failed to resolve during SRV discovery: {'; '.join(reasons) or 'none'}")
    members = parse_initial_cluster(",".join(pairs), "discovery-srv")
    if config.name not in members:
        raise ConfigError(
            f'discovery-srv: cannot find local etcd member "{config.name}" in SRV records: none of'
            f" {', '.join(pairs)} is at an address of initial-advertise-peer-urls"
        )
    return members


async def _own_places(urls: Sequence[str], resolve: Resolve) -> dict[Place, str]:
    places: dict[Place, str] = {}
    for parts in map(urlsplit, urls):
        if parts.hostname and parts.port:
            for address in await _addresses(parts.hostname, resolve):
                places[address, parts.port] = parts.scheme
    return places


async def _addresses(host: str, resolve: Resolve) -> frozenset[str]:
    host = host.rstrip(".")
    return frozenset((host,)) if is_address(host) else await resolve(host)
