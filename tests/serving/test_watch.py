"""Watch as a client meets it on the wire."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.rpc.pb.kv_pb2 import Event
from triode.rpc.pb.rpc_pb2 import (
    CompactionRequest,
    PutRequest,
    RequestOp,
    TxnRequest,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)

WATCH = "/etcdserverpb.Watch/Watch"


def create(key: bytes = b"k", **options: Any) -> WatchRequest:
    return WatchRequest(create_request=WatchCreateRequest(key=key, **options))


def cancel(watch_id: int) -> WatchRequest:
    return WatchRequest(cancel_request=WatchCancelRequest(watch_id=watch_id))


PROGRESS = WatchRequest(progress_request=WatchProgressRequest())


class Watch:
    """One Watch call."""

    def __init__(self, client: Any, stream_id: int) -> None:
        self.client = client
        self.stream_id = stream_id

    async def send(self, *requests: WatchRequest) -> None:
        await self.client.send(self.stream_id, *requests)

    async def next(self) -> WatchResponse:
        response = await self.client.next(self.stream_id, WATCH)
        assert isinstance(response, WatchResponse), "the stream has ended"
        return response

    async def events(self, count: int) -> list[tuple[int, bytes, int]]:
        """(type, key, revision) of the next events."""
        found: list[tuple[int, bytes, int]] = []
        while len(found) < count:
            response = await self.next()
            found += [(e.type, e.kv.key, e.kv.mod_revision) for e in response.events]
        assert len(found) == count
        return found


@pytest.fixture
async def watch(peers: ModuleType, node: Node) -> Watch:
    client = await peers.Client.connect(node.clients.ports[0])
    return Watch(client, await client.start(WATCH))


async def test_created_comes_first(watch: Watch, node: Node) -> None:
    """Then what happens, in order, one response per revision."""
    await node.local.put(b"k", b"before")
    await watch.send(create())
    created = await watch.next()
    assert (created.created, created.watch_id, created.header.revision) == (True, 0, 2)
    assert not created.events
    await node.local.put(b"k", b"1")
    await node.local.delete(b"k")
    await node.local.put(b"other", b"")
    assert await watch.events(2) == [(Event.PUT, b"k", 3), (Event.DELETE, b"k", 4)]


async def test_catching_up_is_complete(watch: Watch, node: Node) -> None:
    """From the past, over more revisions than one slice of history, to the present."""
    for number in range(600):
        await node.local.put(b"k", b"%d" % number)
    await watch.send(create(start_revision=2))
    assert (await watch.next()).created
    await node.local.put(b"k", b"present")
    assert await watch.events(601) == [(Event.PUT, b"k", n + 2) for n in range(601)]


async def test_filters_and_previous_values(watch: Watch, node: Node) -> None:
    await watch.send(
        create(filters=[WatchCreateRequest.NOPUT], prev_kv=True),
        create(filters=[WatchCreateRequest.NODELETE], prev_kv=True),
    )
    assert [(await watch.next()).watch_id for _ in range(2)] == [0, 1]
    await node.local.put(b"k", b"1")
    await node.local.put(b"k", b"2")
    await node.local.delete(b"k")
    seen = []
    for _ in range(3):
        response = await watch.next()
        (event,) = response.events
        seen.append((response.watch_id, event.type, event.kv.value, event.prev_kv.value))
    assert sorted(seen) == [(0, 1, b"", b"2"), (1, 0, b"1", b""), (1, 0, b"2", b"1")]


async def test_ids(watch: Watch) -> None:
    """Chosen by the server or by the client; the same twice is refused, not the stream's end."""
    await watch.send(create(watch_id=7), create(), create(watch_id=7), create(watch_id=1), create())
    answers = [await watch.next() for _ in range(5)]
    assert [a.watch_id for a in answers] == [7, 0, -1, 1, 2]
    assert [a.canceled for a in answers] == [False, False, True, False, False]
    assert answers[2].created
    assert answers[2].cancel_reason == ("mvcc: duplicate watch ID provided on the WatchStream")


async def test_cancel(watch: Watch, node: Node) -> None:
    """A known id is answered, an unknown one is not; nothing comes after."""
    await watch.send(create(), cancel(99), cancel(0), create(key=b"j"), WatchRequest())
    answers = [await watch.next() for _ in range(3)]
    assert [(a.watch_id, a.created, a.canceled) for a in answers] == [
        (0, True, False),
        (0, False, True),
        (1, True, False),
    ]
    await node.local.put(b"k", b"")
    await node.local.put(b"j", b"")
    response = await watch.next()
    assert (response.watch_id, response.events[0].kv.key) == (1, b"j")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"key": b"b", "range_end": b"a"}, "mvcc: watcher range is empty"),
        ({"start_revision": -1}, "etcdserver: mvcc: required revision has been compacted"),
    ],
)
async def test_refused(watch: Watch, options: dict[str, Any], reason: str) -> None:
    """The stream goes on."""
    await watch.send(create(**options), create())
    refused = await watch.next()
    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert refused.cancel_reason == reason
    assert (await watch.next()).watch_id == 0


async def test_compacted(watch: Watch, node: Node) -> None:
    """A start that is gone: created, then cancelled with the revision to begin from."""
    for _ in range(5):
        await node.local.put(b"k", b"")
    await node.local.call("KV/Compact", CompactionRequest(revision=4))
    await watch.send(create(start_revision=2), create(start_revision=4))
    first, second = await watch.next(), await watch.next()
    assert (first.created, first.canceled) == (True, False)
    assert (second.watch_id, second.canceled, second.compact_revision) == (0, True, 4)
    assert second.header.revision == 0
    assert (await watch.next()).created
    assert await watch.events(3) == [(Event.PUT, b"k", n) for n in (4, 5, 6)]


async def test_future_start(watch: Watch, node: Node) -> None:
    await watch.send(create(start_revision=4))
    assert (await watch.next()).created
    for _ in range(3):
        await node.local.put(b"k", b"")
    assert await watch.events(1) == [(Event.PUT, b"k", 4)]


async def test_progress_on_request(watch: Watch, node: Node) -> None:
    """For the whole stream; not at all as long as there are no watches."""
    await watch.send(PROGRESS, create(), PROGRESS)
    assert (await watch.next()).created
    progress = await watch.next()
    assert (progress.watch_id, progress.header.revision, len(progress.events)) == (-1, 1, 0)
    await node.local.put(b"other", b"")
    await watch.send(PROGRESS)
    assert (await watch.next()).header.revision == 2


async def test_periodic_progress(peers: ModuleType, run_node: Callable[..., Any]) -> None:
    """Quiet watches that asked for it are told how far they are; others are not."""
    async with run_node(watch_progress_notify_interval=0.1) as node:
        client = await peers.Client.connect(node.clients.ports[0])
        watch = Watch(client, await client.start(WATCH))
        await watch.send(create(), create(progress_notify=True))
        assert [(await watch.next()).created for _ in range(2)] == [True, True]
        await node.local.put(b"other", b"")
        for _ in range(3):
            progress = await watch.next()
            assert progress.watch_id == 1
            assert not progress.events
        assert progress.header.revision == 2
        client.close()


async def test_large_responses_are_split_on_request(watch: Watch, node: Node) -> None:
    """With `fragment` no part is larger than a gRPC client's limit; without, it is one message."""
    for number in range(4):
        await node.local.put(b"k%d" % number, bytes(1_000_000))
    puts = [RequestOp(request_put=PutRequest(key=b"k%d" % n, value=b"")) for n in range(4)]
    await node.local.txn(TxnRequest(success=puts))
    await watch.send(create(range_end=b"l", start_revision=6, prev_kv=True, fragment=True))
    assert (await watch.next()).created
    parts = [await watch.next()]
    while parts[-1].fragment:
        parts.append(await watch.next())
    assert len(parts) > 1
    assert all(part.ByteSize() < 2_100_000 for part in parts)
    assert [e.kv.key for part in parts for e in part.events] == [b"k0", b"k1", b"k2", b"k3"]
    await watch.send(create(range_end=b"l", start_revision=6, prev_kv=True))
    assert (await watch.next()).created
    whole = await watch.next()
    assert len(whole.events) == 4
    assert not whole.fragment


@pytest.mark.parametrize("at_once", [True, False])
async def test_half_close_does_not_end_the_call(
    peers: ModuleType, watch: Watch, node: Node, at_once: bool
) -> None:
    """Whoever has no further request still wants events, those of the past too, until it cancels."""
    for _ in range(3):
        await node.local.put(b"k", b"past")
    watch.client.grpc.send_message(watch.stream_id, create(start_revision=2).SerializeToString())
    if at_once:
        watch.client.grpc.half_close(watch.stream_id)
    assert (await watch.next()).created
    assert await watch.events(3) == [(Event.PUT, b"k", n) for n in (2, 3, 4)]
    if not at_once:
        watch.client.grpc.half_close(watch.stream_id)
        await watch.client.flush()
    await peers.check_served(watch.client, 1)  # what was sent before has been read
    await node.local.put(b"k", b"present")
    assert await watch.events(1) == [(Event.PUT, b"k", 6)]
    assert watch.client.ended == {}
    watch.client.grpc.cancel(watch.stream_id)
    await watch.client.flush()
    await peers.until(lambda: node.context.hub.statistics().streams == 0)
    watch.client.close()
    await peers.settled(node)


@pytest.mark.parametrize("created", [True, False])
async def test_half_close_without_a_watch(
    peers: ModuleType, watch: Watch, node: Node, created: bool
) -> None:
    """The call stays open, as in etcd, and costs nothing once its client is gone."""
    if created:
        await watch.send(create(), cancel(0))
        assert (await watch.next()).created
        assert (await watch.next()).canceled
    watch.client.grpc.half_close(watch.stream_id)
    await peers.check_served(watch.client, 1)
    assert watch.client.ended == {}
    statistics = node.context.hub.statistics()
    assert (statistics.streams, statistics.watchers) == (1, 0)
    peers.reset(watch.client.raw.sock)
    await peers.until(lambda: node.context.hub.statistics().streams == 0)
    await peers.settled(node)


async def test_half_close_and_a_deadline(peers: ModuleType, node: Node) -> None:
    """The time of a call that has been half-closed still counts."""
    client = await peers.Client.connect(node.clients.ports[0])
    watch = Watch(client, await client.start(WATCH, create(), timeout_ns=200_000_000))
    client.grpc.half_close(watch.stream_id)
    assert (await watch.next()).created
    assert (await client.status(watch.stream_id))[0] == 4
    client.close()
    await peers.settled(node)


async def test_requests_without_reading_the_answers(peers: ModuleType, node: Node) -> None:
    """A flood of creates whose answers nobody takes ends the stream with a reason."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    head = peers.frame(peers.HEADERS, peers.END_HEADERS, 1, peers.head_of(WATCH))
    message = peers.framed(create().SerializeToString())
    flood = peers.frame(peers.DATA, 0, 1, message * 1000)
    async with peers.well_served(node):
        await raw.say(peers.opening(window=0) + head)
        for _ in range(20):
            await raw.say(flood)
        await peers.until(lambda: node.context.hub.statistics().streams == 0)
        window = peers.frame(peers.WINDOW, 0, 1, (1 << 24).to_bytes(4, "big"))
        wide = peers.frame(peers.WINDOW, 0, 0, (1 << 24).to_bytes(4, "big"))
        await raw.say(window + wide)
        with trio.fail_after(peers.ANSWER_SECONDS_MAX):
            while not (ended := peers.fields_of(raw.read, 1)):
                assert await raw.hear()
        assert ended[b"grpc-status"] == b"8"
        assert b"too many watch requests" in ended[b"grpc-message"]
        raw.close()
    await peers.settled(node)


@pytest.mark.parametrize(("streams", "watchers"), [(1, 5000), (200, 25)])
async def test_many_watchers_of_one_key(
    peers: ModuleType, node: Node, streams: int, watchers: int
) -> None:
    """Each hears of each change."""
    client = await peers.Client.connect(node.clients.ports[0])
    asked = [await client.start(WATCH) for _ in range(streams)]
    async with peers.well_served(node):
        for stream_id in asked:
            for at in range(0, watchers, 500):  # answers are read: more at once would be refused
                part = min(500, watchers - at)
                await client.send(stream_id, *[create()] * part)
                for _ in range(part):
                    assert (await client.next(stream_id, WATCH)).created
        for revision in range(2):
            await node.local.put(b"k", b"%d" % revision)
        for stream_id in asked:
            heard = dict.fromkeys(range(watchers), 0)
            while sum(heard.values()) < 2 * watchers:
                response = await client.next(stream_id, WATCH)
                for event in response.events:
                    assert event.kv.value == b"%d" % heard[response.watch_id]
                    heard[response.watch_id] += 1
    client.close()
    await peers.settled(node)


async def test_one_that_does_not_read_among_a_thousand(peers: ModuleType, node: Node) -> None:
    """The others get everything, at once; so does it, when it reads."""
    lazy = await peers.Client.connect(node.clients.ports[0])
    late = Watch(lazy, await lazy.start(WATCH, create()))
    assert (await late.next()).created
    clients = [await peers.Client.connect(node.clients.ports[0]) for _ in range(10)]
    watches: list[Watch] = []
    for client in clients:
        watches += [Watch(client, await client.start(WATCH, create())) for _ in range(100)]
    for watch in watches:
        assert (await watch.next()).created
    for number in range(8):
        await node.local.put(b"k", b"%d" % number + bytes(1000))
    for watch in watches:
        assert len(await watch.events(8)) == 8
    assert len(await late.events(8)) == 8
    for client in [*clients, lazy]:
        client.close()
    await peers.settled(node)
