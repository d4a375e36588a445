"""Endpoints: how they are written, how they take turns, and what happens when some of them are not there."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

import triode
from triode.client.balancer import RoundRobin
from triode.client.endpoints import parse_endpoint
from triode.client.errors import ClientClosed, ConnectionLost, EndpointError, Unreachable
from triode.client.retry import Retries, backoff_seconds
from triode.errors import Code, EtcdError, LeaderChanged, NoLeader, PermissionDenied

# --- pure parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "authority", "tls", "server_name"),
    [
        ("10.0.0.1:2379", "10.0.0.1:2379", None, "10.0.0.1"),
        ("localhost", "localhost:2379", None, "localhost"),
        ("http://h:1", "h:1", False, "h"),
        ("https://h:1/", "h:1", True, "h"),
        ("HTTPS://[::1]:12", "[::1]:12", True, "::1"),
        ("[::1]", "[::1]:2379", None, "::1"),
        ("unix:/a/b", "localhost", None, "b"),
        ("unix:///a/b", "localhost", None, "b"),
        ("unixs:///a/b:0", "localhost", True, "b"),
        ("unix://name", "localhost", None, "name"),
    ],
)
def test_forms(text: str, authority: str, tls: bool | None, server_name: str) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.authority, endpoint.tls) == (authority, tls)
    assert (endpoint.server_name, endpoint.text) == (server_name, text)


@pytest.mark.parametrize(
    "text", ["", "ftp://h:1", "h:0", "h:99999", "h:p", "http://", "a b:1", "unix:", "http://h:1/x"]
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(EndpointError, match="endpoint"):
        parse_endpoint(text)


def test_turns_are_fair_while_members_come_and_go() -> None:
    turns: RoundRobin[str] = RoundRobin()
    assert turns.pick() is None
    for name in "abc":
        turns.add(name)
        turns.add(name)
    assert len(turns) == 3
    assert [turns.pick() for _ in range(4)] == ["a", "b", "c", "a"]
    turns.remove("a")
    turns.remove("nobody")
    assert "a" not in turns
    assert [turns.pick() for _ in range(3)] == ["b", "c", "b"]
    turns.add("d")
    assert Counter(turns.pick() for _ in range(30)) == {"b": 10, "c": 10, "d": 10}


READ, WRITE = "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put"


@pytest.mark.parametrize(
    ("path", "error", "processed", "again"),
    [
        (READ, NoLeader(), True, True),
        (READ, LeaderChanged(), True, True),
        (READ, ConnectionLost(), True, True),
        (READ, EtcdError("whatever", code=Code.UNAVAILABLE), True, True),
        (READ, PermissionDenied(), True, False),
        (READ, EtcdError("whatever", code=Code.INTERNAL), True, False),
        (READ, Unreachable({}), False, False),
        (READ, ClientClosed(), False, False),
        (WRITE, NoLeader(), True, False),
        (WRITE, ConnectionLost(), True, False),
        (WRITE, ConnectionLost(), False, True),
        (WRITE, EtcdError("too large", code=Code.RESOURCE_EXHAUSTED), False, False),
    ],
)
def test_what_is_tried_again(path: str, error: EtcdError, processed: bool, again: bool) -> None:
    wait = Retries(path, 1, lambda: 0.5).wait_seconds(error, processed=processed)
    assert (wait is not None) == again


def test_it_waits_when_a_majority_was_asked_and_ends_some_time() -> None:
    retries = Retries(READ, 3, lambda: 0.0, attempts_max=6)
    waits = [retries.wait_seconds(NoLeader(), processed=True) for _ in range(6)]
    assert waits == [0.0, pytest.approx(0.0225), 0.0, pytest.approx(0.0225), 0.0, None]


def test_dialling_backs_off_with_jitter() -> None:
    assert backoff_seconds(1, lambda: 0.5) == pytest.approx(0.05)
    assert backoff_seconds(2, lambda: 0.5) == pytest.approx(0.08)
    assert backoff_seconds(1000, lambda: 0.5) == pytest.approx(1.0)
    assert backoff_seconds(1, lambda: 0.0) < backoff_seconds(1, lambda: 0.999)


# --- with servers --------------------------------------------------------------------------------


def dead() -> str:
    """An address where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


async def test_endpoints_take_turns(servers: Any) -> None:
    async with (
        servers.scripted() as a,
        servers.scripted() as b,
        triode.connect(a.address, b.address) as client,
    ):
        await client.put("first", "1")
        await a.until(lambda: a.peers)
        await b.until(lambda: b.peers)
        with trio.fail_after(5):
            while len(client.channel._ready) < 2:  # type: ignore[attr-defined]  # noqa: ASYNC110
                await trio.sleep(0.001)
        before = len(a.requests), len(b.requests)
        for number in range(10):
            await client.put(str(number), "1")
        assert (len(a.requests) - before[0], len(b.requests) - before[1]) == (5, 5)


async def test_one_dead_one_dying_one_well(servers: Any) -> None:
    def dying(peer: Any, request: Any) -> None:
        peer.server.nursery.start_soon(peer.drop)

    async with (
        servers.scripted() as well,
        servers.scripted(dying) as ill,
        triode.connect(dead(), ill.address, well.address) as client,
    ):
        for number in range(30):
            await client.get(str(number))
        assert len(well.requests) == 30


async def test_a_server_that_comes_back_is_used_again(servers: Any) -> None:
    async with servers.scripted() as server:
        port = server.port
        async with triode.connect(server.address, dial_timeout=5) as client:
            await client.put("a", "1")
            [peer] = server.peers
            await peer.drop()
            await client.get("b")
            assert len(client.channel._ready) == 1  # type: ignore[attr-defined]
    assert port
    assert len(server.peers) == 2


async def test_calls_wait_for_a_server_that_is_being_started(servers: Any) -> None:
    address = dead()
    port = int(address.rpartition(":")[2])

    async def start(server: Any) -> None:
        await trio.sleep(0.2)
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        await trio.serve_listeners(server.serve, listeners)

    async with (
        servers.scripted() as server,
        triode.connect(address) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(start, server)
        await client.put("a", "1")
        assert len(server.requests) == 1
        nursery.cancel_scope.cancel()


async def test_nobody_is_there() -> None:
    address = dead()
    async with triode.connect(address, dial_timeout=0.2) as client:
        with pytest.raises(Unreachable, match="connection refused") as caught:
            await client.get("a")
    assert caught.value.reasons == {address: "connection refused"}


async def test_a_name_that_cannot_be_is_one_that_is_not_there(servers: Any) -> None:
    async with servers.scripted() as server:
        async with triode.connect("a..b:1", server.address) as client:
            await client.put("k", "v")
        async with triode.connect(f"{'a' * 64}.org", "ä..b", dial_timeout=0.1) as client:
            with pytest.raises(
                Unreachable, match=r"a\.org: no host can have such a name; ä\.\.b: no host"
            ):
                await client.get("k")


async def test_one_endpoint_and_no_other(servers: Any) -> None:
    async with (
        servers.scripted() as a,
        servers.scripted() as b,
        triode.connect(a.address, dial_timeout=0.2) as client,
    ):
        await client.maintenance.status(b.address)
        assert (len(a.requests), len(b.requests)) == (0, 1)
        with pytest.raises(Unreachable):
            await client.maintenance.status(dead())
        with pytest.raises(EndpointError):
            await client.maintenance.status("no endpoint")


async def test_other_endpoints_from_now_on(servers: Any) -> None:
    async with (
        servers.scripted() as a,
        servers.scripted() as b,
        triode.connect(a.address) as client,
    ):
        await client.put("a", "1")
        client.channel.set_endpoints((b.address,))  # type: ignore[attr-defined]
        assert client.endpoints == (b.address,)
        await client.put("a", "1")
        assert (len(a.requests), len(b.requests)) == (1, 1)
        with trio.fail_after(5):
            await a.peers[0].closed.wait()


async def test_endpoints_of_the_members(node: triode.Node) -> None:
    address = node.client_urls[0].removeprefix("http://")
    async with triode.connect(address) as client:
        assert await client.sync() == node.client_urls
        await client.put("a", "1")
    async with triode.connect(address, auto_sync_interval=0.01) as client:
        await client.put("a", "1")
        with trio.fail_after(5):
            while client.endpoints != node.client_urls:  # noqa: ASYNC110
                await trio.sleep(0.005)
    async with node.client() as client:
        assert await client.sync() == client.endpoints


async def test_over_a_unix_socket(tmp_path: Path, servers: Any) -> None:
    path = tmp_path / "client.sock"
    bound = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await bound.bind(str(path))
    bound.listen()
    listener = trio.SocketListener(bound)
    async with servers.scripted() as server, trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        async with triode.connect(f"unix:{path}") as client:
            await client.put("a", "1")
        assert len(server.requests) == 1
        nursery.cancel_scope.cancel()
