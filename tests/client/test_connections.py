"""What happens between a client and a server, held against servers that misbehave."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import triode
from triode.client import link
from triode.client.credentials import Credentials
from triode.client.errors import ClientClosed, ConnectionLost, Unreachable, UntrustedServer
from triode.client.tls import TlsRefused
from triode.errors import Code, EtcdError, NoLeader, NotCapable
from triode.rpc.grpc.server import GrpcServer
from triode.rpc.h2.errors import ErrorCode
from triode.rpc.h2.frames import goaway
from triode.rpc.methods import UNARY_PATHS
from triode.rpc.pb.kv_pb2 import KeyValue
from triode.rpc.pb.rpc_pb2 import RangeRequest, RangeResponse


async def test_calls_share_a_connection_and_end_in_any_order(servers: Any) -> None:
    waiting: list[Any] = []

    def backwards(peer: Any, request: Any) -> None:
        waiting.append(request)
        if len(waiting) == 50:
            for one in reversed(waiting):
                key = RangeRequest.FromString(one.message).key
                peer.answer(one, RangeResponse(kvs=[KeyValue(key=key)]))

    ended: list[int] = []
    async with servers.scripted(backwards) as server, triode.connect(server.address) as client:

        async def call(number: int) -> None:
            pair = await client.get(str(number))
            assert pair is not None
            assert pair.key == str(number).encode()
            ended.append(number)

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(call, number)
        assert sorted(ended) == list(range(50))
        assert len(server.peers) == 1
        assert server.faults == []


async def test_a_cancelled_call_is_reset_and_leaves_nothing(servers: Any) -> None:
    async with (
        servers.scripted(lambda *_: None) as server,
        triode.connect(server.address) as client,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.get, "never")
            await server.until(lambda: server.requests)
            nursery.cancel_scope.cancel()
        [peer] = server.peers
        await server.until(lambda: peer.cancelled == [peer.requests[0].stream_id])
        link = client.channel._links[server.address]  # type: ignore[attr-defined]
        assert link.connection._calls == {}
        assert link.connection.session.open_calls == 0


async def test_the_deadline_goes_along(servers: Any) -> None:
    async with servers.scripted() as server, triode.connect(server.address) as client:
        await client.get("a")
        with trio.fail_after(7):
            await client.get("b")
        first, second = server.requests
        assert first.head.timeout_ns is None
        assert 6e9 < second.head.timeout_ns <= 7e9


async def test_a_server_that_watches_our_deadline_may_be_quicker(servers: Any) -> None:
    def late(peer: Any, request: Any) -> None:
        peer.fail(request, Code.DEADLINE_EXCEEDED, "context deadline exceeded")

    async with servers.scripted(late) as server, triode.connect(server.address) as client:
        with trio.move_on_after(0.2) as scope:
            await client.put("a", "1")
        assert scope.cancelled_caught
        with pytest.raises(EtcdError) as caught:
            await client.put("a", "1")
        assert caught.value.status == Code.DEADLINE_EXCEEDED


async def test_a_server_that_goes_away_politely_fails_no_call(servers: Any) -> None:
    held: list[tuple[Any, Any]] = []

    def hold_first(peer: Any, request: Any) -> None:
        if held:
            peer.answer(request)
        else:
            held.append((peer, request))

    async with servers.scripted(hold_first) as server, triode.connect(server.address) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.put, "slow", "1")
            await server.until(lambda: held)
            peer, request = held[0]
            peer.session.shutdown()
            peer.flush()
            await server.until(lambda: len(server.peers) == 2)
            await client.put("quick", "1")
            assert len(server.peers[1].requests) == 1
            peer.answer(request)
        with trio.fail_after(5):
            await peer.closed.wait()


async def test_a_write_that_was_surely_not_seen_is_sent_again(servers: Any) -> None:
    def away(peer: Any, request: Any) -> None:
        if len(server.peers) > 1:
            peer.answer(request)
            return
        frame = goaway(0, ErrorCode.NO_ERROR, b"not this one")
        peer.session.connection.outbox.frames.append(frame)
        peer.flush()

    async with servers.scripted(away) as server, triode.connect(server.address) as client:
        await client.put("a", "1")
        assert [len(peer.requests) for peer in server.peers] == [1, 1]


async def test_a_refused_stream_is_opened_again(servers: Any) -> None:
    def refuse_first(peer: Any, request: Any) -> None:
        if len(server.requests) > 1:
            peer.answer(request)
        else:
            peer.session.reset(request.stream_id, ErrorCode.REFUSED_STREAM)
            peer.flush()

    async with servers.scripted(refuse_first) as server, triode.connect(server.address) as client:
        await client.put("a", "1")
        assert len(server.requests) == 2


async def test_reads_are_repeated_and_writes_are_not(servers: Any) -> None:
    def unavailable(peer: Any, request: Any) -> None:
        if request.head.path.endswith("Range") and len(server.requests) >= 3:
            peer.answer(request)
        else:
            peer.fail(request, Code.UNAVAILABLE, NoLeader.text)

    async with servers.scripted(unavailable) as server, triode.connect(server.address) as client:
        await client.get("a")
        assert len(server.requests) == 3
        with pytest.raises(NoLeader):
            await client.put("a", "1")
        assert len(server.requests) == 4


async def test_a_lost_connection_ends_a_write_and_repeats_a_read(servers: Any) -> None:
    def drop_first(peer: Any, request: Any) -> None:
        if len(server.peers) < 3:
            server.nursery.start_soon(peer.drop)
        else:
            peer.answer(request)

    async with servers.scripted(drop_first) as server, triode.connect(server.address) as client:
        with pytest.raises(ConnectionLost):
            await client.put("a", "1")
        await client.get("a")
        assert [len(peer.requests) for peer in server.peers] == [1, 1, 1]


async def test_who_does_not_read_a_stream_stops_it_and_nothing_else(servers: Any) -> None:
    async with servers.scripted() as server, triode.connect(server.address) as client:
        async with client.stream("Watch/Watch") as stream:
            await server.until(lambda: server.peers and server.peers[0].streams)
            [peer] = server.peers
            for number in range(24):
                peer.session.send_message(peer.streams[0], bytes([number]) * (1 << 20))
            peer.flush()
            for _ in range(20):
                await client.put("a", "1")
            await trio.sleep(0.1)
            assert stream._bytes <= 9 << 20  # type: ignore[attr-defined]
            assert peer.session.backlog_bytes(peer.streams[0]) >= 10 << 20
            for number in range(24):
                message = await stream.receive()
                assert message is not None
                assert (message[0], len(message)) == (number, 1 << 20)
        await server.until(lambda: peer.cancelled == peer.streams)


async def test_a_stream_that_the_server_ends(servers: Any) -> None:
    async with servers.scripted() as server, triode.connect(server.address) as client:
        for code in (0, 9):
            async with client.stream("Watch/Watch") as stream:
                await stream.send(b"")
                await server.until(lambda: server.peers and server.peers[0].streams)
                [peer] = server.peers
                number = peer.streams.pop()
                peer.session.send_message(number, b"last")
                peer.session.finish(number, code, "etcdserver: not capable")
                peer.flush()
                assert await stream.receive() == b"last"
                if code:
                    with pytest.raises(NotCapable):
                        await stream.receive()
                else:
                    assert await stream.receive() is None
                await stream.send(b"nobody listens")
                await stream.half_close()


async def test_a_stream_whose_connection_is_lost(servers: Any) -> None:
    async with servers.scripted() as server, triode.connect(server.address) as client:
        async with client.stream("Watch/Watch") as stream:
            await server.until(lambda: server.peers and server.peers[0].streams)
            await server.peers[0].drop()
            with pytest.raises(ConnectionLost), trio.fail_after(5):
                await stream.receive()
        await client.get("a")


async def test_a_connection_that_has_just_ended_takes_no_call(servers: Any) -> None:
    """Between its end and the closing of its socket there is a turn in which it can still be picked."""
    async with servers.scripted() as server, triode.connect(server.address) as client:
        await client.put("a", "1")
        link = client.channel._links[server.address]  # type: ignore[attr-defined]
        link.connection.end("gone")
        with trio.fail_after(5):
            await client.put("a", "2")
        assert [len(peer.requests) for peer in server.peers] == [1, 1]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings may come as often as a test wants."""
    monkeypatch.setattr("triode.client.client.KEEPALIVE_SECONDS_MIN", 0)


async def test_pings_are_not_too_many(servers: Any) -> None:
    async with servers.scripted() as server:
        for wanted, got in ((2, 10), (30, 30), (0, 0)):
            async with triode.connect(server.address, keepalive_time=wanted) as client:
                assert client.channel._options.keepalive_time == got  # type: ignore[attr-defined]


@pytest.mark.usefixtures("often")
async def test_a_silent_server_is_found_out(servers: Any) -> None:
    def deaf(peer: Any, request: Any) -> None:
        peer.deaf = True

    async with (
        servers.scripted(deaf) as server,
        triode.connect(server.address, keepalive_time=0.1, keepalive_timeout=0.1) as client,
    ):
        with trio.fail_after(8), pytest.raises(ConnectionLost, match="silent for"):
            await client.put("a", "1")


@pytest.mark.usefixtures("often")
async def test_a_server_that_answers_pings_is_waited_for(servers: Any) -> None:
    held: list[Any] = []
    async with (
        servers.scripted(lambda *both: held.append(both)) as server,
        triode.connect(server.address, keepalive_time=0.05, keepalive_timeout=5) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.put, "a", "1")
        await server.until(lambda: held)
        await trio.sleep(0.4)
        held[0][0].answer(held[0][1])


async def test_streams_are_as_many_as_the_server_allows(servers: Any) -> None:
    most = 0

    def count(peer: Any, request: Any) -> None:
        nonlocal most
        most = max(most, peer.session.open_calls)
        server.nursery.start_soon(later, peer, request)

    async def later(peer: Any, request: Any) -> None:
        await trio.sleep(0.005)
        peer.answer(request)

    async with servers.scripted(count, concurrent_streams_max=3) as server:
        async with triode.connect(server.address) as client, trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(client.put, str(number), "1")
        assert len(server.requests) == 20
        assert most == 3


async def test_who_waits_for_a_place_and_asks_too_much_gives_it_on(servers: Any) -> None:
    """A request that is too large takes no place, so it must not take the turn of the one behind it."""
    waiting: list[Any] = []

    def first_waits(peer: Any, request: Any) -> None:
        if RangeRequest.FromString(request.message).key == b"first":
            waiting.append((peer, request))
        else:
            peer.answer(request)

    async with (
        servers.scripted(first_waits, concurrent_streams_max=1) as server,
        triode.connect(server.address) as client,
    ):
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.get, "first")
                await server.until(lambda: waiting)

                async def too_large() -> None:
                    with pytest.raises(EtcdError, match="larger than max"):
                        await client.put("large", bytes(3 << 20))

                nursery.start_soon(too_large)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(client.get, "behind")
                await trio.testing.wait_all_tasks_blocked()
                peer, request = waiting.pop()
                peer.answer(request, RangeResponse())


async def test_limits_of_messages(servers: Any) -> None:
    def large(peer: Any, request: Any) -> None:
        peer.answer(request, RangeResponse(kvs=[KeyValue(value=bytes(5000))]))

    async with (
        servers.scripted(large) as server,
        triode.connect(server.address, max_send_bytes=1000, max_receive_bytes=4000) as client,
    ):
        with pytest.raises(EtcdError, match="trying to send message larger") as sent:
            await client.put("a", bytes(1000))
        assert sent.value.status == Code.RESOURCE_EXHAUSTED
        assert server.requests == []
        with pytest.raises(EtcdError, match="received message larger") as received:
            await client.get("a")
        assert received.value.status == Code.RESOURCE_EXHAUSTED


async def test_a_client_that_is_closed_says_so(servers: Any) -> None:
    async with servers.scripted() as server:
        async with triode.connect(server.address) as client:
            await client.put("a", "1")
        with pytest.raises(ClientClosed):
            await client.put("a", "1")
        await server.until(lambda: server.peers[0].closed.is_set())


async def test_what_the_block_raises_comes_out_as_it_is(servers: Any) -> None:
    async with servers.scripted() as server:
        with pytest.raises(KeyError, match="mine"):  # noqa: PT012
            async with triode.connect(server.address) as client:
                await client.put("a", "1")
                raise KeyError("mine")


async def test_the_block_can_be_cancelled_and_what_runs_beside_it_can_fail(servers: Any) -> None:
    async def fail() -> None:
        raise ValueError("beside")

    async with servers.scripted() as server:
        with trio.move_on_after(0.05) as scope:
            async with triode.connect(server.address) as client:
                await client.put("a", "1")
                await trio.sleep_forever()
        assert scope.cancelled_caught
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
            async with triode.connect(server.address) as client:
                await client.put("a", "1")
                client.nursery.start_soon(fail)
                await trio.sleep_forever()
        assert [str(one) for one in caught.value.exceptions] == ["beside"]


async def test_metadata_for_a_leader(servers: Any) -> None:
    async with servers.scripted() as server, triode.connect(server.address) as client:
        await client.put("a", "1")
        await client.requiring_leader().namespace("x").put("a", "1")
        with_option = triode.connect(server.address, require_leader=True)
        async with with_option as other:
            await other.put("a", "1")
        heads = [request.head.metadata.get("hasleader") for request in server.requests]
        assert heads == [None, "true", "true"]


# --- servers that are none -----------------------------------------------------------------------


async def _chatter(stream: trio.SocketStream) -> None:
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" * 3)
    await stream.receive_some()


async def _hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def _say_nothing(_: trio.SocketStream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (_chatter, "HTTP/2"),
        (_hang_up, "closed|reset"),
        (_say_nothing, "no answer within 0.5 s"),
    ],
)
async def test_what_is_no_server(servers: Any, serve: Any, reason: str) -> None:
    async with servers.raw(serve) as address, triode.connect(address, dial_timeout=0.5) as client:
        with trio.fail_after(10), pytest.raises(Unreachable, match=reason) as caught:
            await client.put("a", "1")
        assert caught.value.status == Code.UNAVAILABLE
        assert caught.value.reasons.keys() == {address}


async def test_garbage_within_a_call(servers: Any) -> None:
    def garbage(peer: Any, request: Any) -> None:
        peer.session.connection.outbox.frames.append(b"\xff" * 100)
        peer.flush()

    async with servers.scripted(garbage) as server, triode.connect(server.address) as client:
        with trio.fail_after(10), pytest.raises(EtcdError) as caught:
            await client.put("a", "1")
        assert caught.value.status == Code.UNAVAILABLE


async def test_trust_that_breaks_off_may_come_back(
    servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer ends handshakes while the server behind it restarts: who was connected before waits."""
    tried = trio.Event()
    restarting = False

    async def handshake(*_: object) -> None:  # without TLS, to a server without it
        if restarting:
            tried.set()
            raise TlsRefused("the server ended the handshake")

    monkeypatch.setattr(link, "handshake", handshake)
    tls = triode.TLS(insecure_skip_verify=True)
    async with servers.scripted() as server:
        async with triode.connect(f"https://{server.address}", tls=tls, dial_timeout=30) as client:
            await client.get("k")
            restarting = True
            await server.peers[0].stream.aclose()
            async with trio.open_nursery() as nursery:
                await tried.wait()
                nursery.start_soon(client.get, "k")
                await trio.testing.wait_all_tasks_blocked()
                restarting = False
        assert len(server.requests) == 2
        restarting = True
        async with triode.connect(f"https://{server.address}", tls=tls) as stranger:
            with pytest.raises(UntrustedServer):
                await stranger.get("k")


async def test_a_server_that_greets_and_closes_is_dialled_ever_more_rarely(
    servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[int] = []
    enough = trio.Event()

    def no_time(failures: int, _: object) -> float:
        pauses.append(failures)
        if len(pauses) >= 4:
            enough.set()
        return 0.0

    monkeypatch.setattr(link, "backoff_seconds", no_time)
    async with servers.scripted() as server, triode.connect(server.address) as client:

        async def greet(stream: trio.SocketStream) -> None:
            await stream.send_all(GrpcServer(is_unary=UNARY_PATHS).data_to_send())
            await trio.aclose_forcefully(stream)

        async with servers.raw(greet) as address:
            client.channel.set_endpoints((address,))  # type: ignore[attr-defined]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.get, "k")
                with trio.fail_after(10):
                    await enough.wait()
                client.channel.set_endpoints((server.address,))  # type: ignore[attr-defined]
    assert pauses[:4] == [1, 2, 3, 4]


@pytest.mark.parametrize("politely", [True, False])
async def test_a_connection_that_did_its_work_is_replaced_at_once(
    politely: bool, servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because its server drains it after a call, however soon; or because it has lived for a while."""
    monkeypatch.setattr(link, "backoff_seconds", lambda *_: 1e9)
    if not politely:
        monkeypatch.setattr(link, "STEADY_SECONDS", 0.0)
    async with servers.scripted() as server, triode.connect(server.address) as client:
        for number in range(1, 4):
            await client.put("k", "1")
            peer = server.peers[-1]
            if politely:
                peer.session.shutdown()
                peer.flush()
            else:
                await peer.drop()
            await server.until(lambda number=number: len(server.peers) > number)


async def test_calls_that_wait_for_a_login_do_not_wait_for_one_another(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def nowhere(_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(link.Link, "_dial", nowhere)
    ended: list[float] = []

    async def call(client: triode.Client) -> None:
        with pytest.raises(Unreachable):
            await client.get("k")
        ended.append(trio.current_time() - begin)

    async with triode.connect("127.0.0.1:1", user="root", password="secret") as client:
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call, client)
            await trio.sleep(1)
            nursery.start_soon(call, client)
    assert ended == pytest.approx([2, 2, 2, 2, 2, 3])


async def test_a_login_is_shared_with_its_failure_but_not_with_its_cancellation() -> None:
    begun: list[bytes] = []
    fails = trio.Event()

    async def authenticate(request: bytes) -> bytes:
        begun.append(request)
        await fails.wait()
        raise ConnectionLost

    credentials = Credentials("root", "secret", authenticate)
    failed: list[int] = []

    async def call(number: int, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await credentials.login()
            except ConnectionLost:
                failed.append(number)

    first = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, 0, first)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(1, 5):
            nursery.start_soon(call, number, trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert len(begun) == 2
        fails.set()
    assert sorted(failed) == [1, 2, 3, 4]
    assert len(begun) == 2
