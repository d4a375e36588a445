"""Requests to other members: at any of their URLs, in time or not at all."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from triode.errors import AddressInUse, ConfigError


async def test_an_answer(t: Any) -> None:
    async with t.pair() as (_, of_a, b, _):
        for _ in range(3):
            reply = await of_a.ask(t.B, "GET", "/members")
            assert (reply.status, reply.body) == (200, b"[]\n")
            assert reply.headers["x-etcd-cluster-id"] == "c1"
        reply = await of_a.ask(t.B, "POST", "/leases", b"body")
        assert reply.status == 404
        assert b.asked[-1] == ("POST", "/leases", b"body")


async def test_every_url_is_tried(t: Any) -> None:
    async with t.pair() as (_, of_a, b, _):
        of_a.add(t.B, ["http://127.0.0.1:1", "http://127.0.0.1:2", *b.peer_urls])
        assert (await of_a.ask(t.B, "GET", "/members")).status == 200


async def test_nobody_answers(t: Any) -> None:
    async with t.pair() as (_, of_a, _, _):
        of_a.add(t.C, ["http://127.0.0.1:1", "http://127.0.0.1:2"])
        with pytest.raises(OSError, match="failed"):
            await of_a.ask(t.C, "GET", "/members")
        with pytest.raises(OSError, match="not a member"):
            await of_a.ask(99, "GET", "/members")


async def test_an_answer_that_does_not_come_in_time(t: Any) -> None:
    async with t.pair() as (_, of_a, b, _):

        async def never(verb: str, target: str, body: bytes) -> None:
            await trio.sleep_forever()

        b.answer = never
        with pytest.raises(TimeoutError):
            await of_a.ask(t.B, "GET", "/members", seconds_max=0.1)


async def test_an_answer_without_end_is_cut_off(t: Any) -> None:
    async def flood(stream: trio.SocketStream) -> None:
        async with stream:
            if b"GET /members" not in await stream.receive_some():
                return
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    await stream.send_all(bytes(100_000))
            except trio.BrokenResourceError:
                return

    owner = t.Owner(t.A)
    peers = t.make(owner)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, flood, listeners)
        peers.add(t.B, [f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"])
        async with t.run(peers):
            with pytest.raises(OSError, match="more than"):
                await peers.ask(t.B, "GET", "/members")
        nursery.cancel_scope.cancel()


async def test_probes_measure_the_way(t: Any) -> None:
    seen: list[tuple[int, float]] = []
    a, b = t.Owner(t.A), t.Owner(t.B)
    of_a, of_b = t.make(a), t.make(b)
    of_a.traffic.on_round_trip = lambda member, seconds: seen.append((member, seconds))
    of_a.add(t.B, b.peer_urls)
    async with t.run(of_a, of_b):
        await t.until(lambda: seen)
    assert seen[0][0] == t.B
    assert 0 < seen[0][1] < 5


def test_an_address_in_use_is_told_at_once(t: Any) -> None:
    with t.listening() as sock, pytest.raises(AddressInUse):
        t.make(t.Owner(t.A), listen_peer_urls=(f"http://127.0.0.1:{sock.getsockname()[1]}",))


def test_tls_is_refused_with_a_word(t: Any) -> None:
    with pytest.raises(ConfigError, match="TLS"):
        t.make(t.Owner(t.A), listen_peer_urls=("https://127.0.0.1:0",))


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1:2380", "http://", "http://a:b", "ftp://a:1", "", "http://[::1", "unix://x"],
)
async def test_a_url_that_cannot_be_talked_to_fails_like_one_where_nobody_is(
    t: Any, url: str
) -> None:
    """The cluster may have agreed on it: that must not stop anybody."""
    async with t.served() as (owner, peers, _):
        peers.add(t.C, [url])
        peers.send([t.heartbeat(t.C, sender=t.B)])
        await t.until(lambda: t.C in owner.lost)
        with pytest.raises(OSError, match="peer URL"):
            await peers.ask(t.C, "GET", "/members")
