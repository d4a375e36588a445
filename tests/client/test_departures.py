"""When frames leave: acknowledgements with the next request, requests and the rest of one at once."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import triode
from triode.rpc.h2.frames import ping


class Counting:
    """A socket whose writes are counted."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.sends = 0

    def send(self, data: bytes) -> int:
        self.sends += 1
        return int(self._sock.send(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


async def test_acknowledgements_go_along_with_requests(
    servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triode.client.connection.REPLY_SECONDS", 1.0)

    def ping_too(peer: Any, request: Any) -> None:
        peer.session.ping()
        peer.answer(request)

    async with servers.scripted(ping_too) as server, triode.connect(server.address) as client:
        await client.put("first", "1")
        link = client.channel._links[server.address]  # type: ignore[attr-defined]
        counting = link.connection._sock = Counting(link.connection._sock)
        for number in range(100):
            await client.put(str(number), "1")
        assert 100 <= counting.sends < 110


@pytest.mark.parametrize("tasks", [1, 3])
async def test_credit_is_used_at_once(
    etcd: Any, monkeypatch: pytest.MonkeyPatch, tasks: int
) -> None:
    """What comes with an answer can wait for the next request; the rest of a request cannot."""
    monkeypatch.setattr("triode.client.connection.REPLY_SECONDS", 60.0)
    monkeypatch.setattr("triode.client.reader.REST_SECONDS", 60.0)
    async with triode.connect(etcd.url) as client:
        with trio.fail_after(20):
            for size in (*[1] * 10, *[1_000_000] * 5):
                async with trio.open_nursery() as nursery:
                    for _ in range(tasks):
                        nursery.start_soon(client.put, "large", bytes(size))


@pytest.mark.parametrize("first", ["acknowledgement", "request"])
async def test_no_request_waits_for_another(
    servers: Any, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """One that comes in the turn in which an acknowledgement is put off, before it or after it, leaves at once."""
    monkeypatch.setattr("triode.client.connection.REPLY_SECONDS", 60.0)

    def hears(peer: Any, request: Any) -> None:
        if len(server.requests) in (1, 4):
            peer.answer(request)

    async with servers.scripted(hears) as server, triode.connect(server.address) as client:
        await client.get("connected")
        connection = client.channel._links[server.address].connection  # type: ignore[attr-defined]
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                given_up = trio.CancelScope()
                for scope in (given_up, trio.CancelScope()):
                    nursery.start_soon(_within, scope, client)
                await server.until(lambda: len(server.requests) == 3)
                await trio.testing.wait_all_tasks_blocked()
                if first == "request":
                    given_up.cancel()
                    connection.take(ping(bytes(8), ack=False))
                    await server.until(lambda: server.peers[0].cancelled)
                else:
                    connection.take(ping(bytes(8), ack=False))
                    await client.get("now")
                nursery.cancel_scope.cancel()


async def _within(scope: trio.CancelScope, client: triode.Client) -> None:
    with scope:
        await client.get("never")
