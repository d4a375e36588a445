"""Members by DNS SRV records, asked from a server on loopback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import attrs
import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rrset
import pytest
import trio

from triode.actors import bootstrap, discovery
from triode.actors.discovery import SrvRecord, lookup_with, members_of, service_name, srv_members
from triode.actors.world import World
from triode.config import Config
from triode.errors import ConfigError, JoinRefused

ADDRESSES = {
    "one.test.": "10.0.0.1",
    "two.test.": "10.0.0.2",
    "three.test.": "10.0.0.3",
}


class Zone:
    """A DNS server over UDP with the SRV records of one zone."""

    def __init__(self, records: Mapping[str, Iterable[str]]) -> None:
        self.records = records
        self.asked: list[str] = []

    async def serve(self, task_status: trio.TaskStatus[int]) -> None:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            task_status.started(sock.getsockname()[1])
            while True:
                data, sender = await sock.recvfrom(4096)
                await sock.sendto(self.answer(data), sender)

    def answer(self, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        name = query.question[0].name.to_text()
        self.asked.append(name)
        if name in self.records:
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *self.records[name]))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()


async def resolve(host: str) -> frozenset[str]:
    await trio.lowlevel.checkpoint()
    return frozenset(ADDRESSES[f"{host}."] for _ in [0] if f"{host}." in ADDRESSES)


def config(name: str = "a", url: str = "http://one.test:2380", **settings: Any) -> Config:
    return Config(
        name=name, initial_advertise_peer_urls=(url,), discovery_srv="example.test", **settings
    )


async def found(nursery: trio.Nursery, zone: Zone, config: Config) -> dict[str, tuple[str, ...]]:
    port = await nursery.start(zone.serve)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port

    async def lookup(name: str) -> list[SrvRecord]:
        return await lookup_with(resolver, name)

    return await srv_members(config, lookup=lookup, resolve=resolve)


PLAIN = "_etcd-server._tcp.example.test."
RECORDS = ["0 0 2380 three.test.", "0 0 2380 one.test.", "0 0 2380 two.test."]


async def test_three_members(nursery: trio.Nursery) -> None:
    """The own one is found by its address; the others are numbered, the same way everywhere."""
    zone = Zone({PLAIN: RECORDS})
    assert await found(nursery, zone, config()) == {
        "a": ("http://one.test:2380",),
        "0": ("http://three.test:2380",),
        "1": ("http://two.test:2380",),
    }
    assert zone.asked == ["_etcd-server-ssl._tcp.example.test.", PLAIN]


async def test_a_service_name_of_its_own(nursery: trio.Nursery) -> None:
    """Several clusters can live in one domain."""
    zone = Zone({"_etcd-server-blue._tcp.example.test.": RECORDS})
    members = await found(
        nursery, zone, config(discovery_srv_name="blue", url="http://10.0.0.2:2380")
    )
    assert members["a"] == ("http://two.test:2380",)


@pytest.mark.parametrize(
    ("records", "error", "said"),
    [
        ({}, JoinRefused, "failed to resolve during SRV discovery"),
        ({PLAIN: ["0 0 2380 two.test."]}, ConfigError, 'cannot find local etcd member "a"'),
        ({PLAIN: ["0 0 2381 one.test."]}, ConfigError, 'cannot find local etcd member "a"'),
        ({PLAIN: ["0 0 2380 unknown.test."]}, JoinRefused, "failed to resolve"),
    ],
)
async def test_records_that_do_not_help(
    records: dict[str, list[str]], error: type[Exception], said: str, nursery: trio.Nursery
) -> None:
    """None, others, another port, a target without an address."""
    with pytest.raises(error) as caught:
        await found(nursery, Zone(records), config())
    assert said in str(caught.value)


def test_records_for_tls() -> None:
    """They are under a name of their own; a member that advertises another scheme is not among them."""
    assert service_name(config(), "https") == "_etcd-server-ssl._tcp.example.test"
    record = SrvRecord(0, 0, "one.test.", 2380)
    addresses = {"one.test.": frozenset(["10.0.0.1"])}
    own = {("10.0.0.1", 2380): "https"}
    assert members_of("a", "https", [record], own, addresses) == ["a=https://one.test:2380"]
    assert members_of("a", "http", [record], own, addresses) == []
    six = SrvRecord(0, 0, "fe80::1", 1)
    assert members_of("a", "http", [six], {}, {"fe80::1": frozenset(["fe80::1"])}) == [
        "0=http://[fe80::1]:1"
    ]


async def test_a_resolver_that_does_not_answer(nursery: trio.Nursery) -> None:
    """It is an OSError like any other."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = []
    with pytest.raises(OSError, match="cannot look up x"):
        await lookup_with(resolver, "x")


async def test_a_cluster_begins_by_dns(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members that the records name are the first ones, with the same IDs wherever they are computed."""
    port = await nursery.start(Zone({PLAIN: RECORDS}).serve)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    ask = partial(srv_members, lookup=partial(lookup_with, resolver), resolve=resolve)
    monkeypatch.setattr(discovery, "srv_members", ask)
    monkeypatch.setattr(bootstrap, "resolve_host", resolve)

    async def nobody(*_: Any, **__: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise ConnectionRefusedError

    world = attrs.evolve(World.real(seed=1), ask_url=nobody)
    plans = [
        await bootstrap.plan(config(name, f"http://{host}.test:2380"), world)
        for name, host in (("a", "one"), ("b", "two"), ("c", "three"))
    ]
    assert len({each.cluster_id for each in plans}) == 1
    assert len({tuple(peer.id for peer in each.peers) for each in plans}) == 1
    assert len({each.member_id for each in plans}) == 3
