"""No event is lost, doubled or out of order, whenever the stream breaks: seeds, and a cluster that loses members."""

# ruff: noqa: ASYNC110  # what is waited for has no event
from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio

import triode
import triode.testing
from triode.actors.node_client import NodeChannel
from triode.client import watch_stream
from triode.client.client import Client, opened
from triode.client.contract import ChannelStream
from triode.client.errors import ConnectionLost
from triode.client.keys import Keys
from triode.client.ops import Op
from triode.client.watch import Watch
from triode.client.watch_events import Event
from triode.errors import Code, EtcdError, InvalidAuthToken
from triode.rpc.methods import Method

from ._channels import BreakingChannel

Told = tuple[int, bytes, int, bytes]  # revision, key, type, value


def told_by(event: Event) -> Told:
    return event.revision, event.key, int(event.type), event.value


async def write_some(client: Client, random: Random, rounds: int, there: set[bytes]) -> list[Told]:
    """Put and delete at random, several keys at once; returns what watchers are to be told."""
    history: list[Told] = []
    for number in range(rounds):
        names = random.sample([b"%c/%d" % (c, n) for c in b"ab" for n in range(3)], k=3)
        ops: list[Op] = []
        told = []
        for name in names[: random.randrange(1, 4)]:
            value = b"%d" % number
            if random.random() < 0.7:
                ops.append(triode.put(name, value))
                told.append((name, 0, value))
                there.add(name)
            else:
                ops.append(triode.delete(name))
                if name in there:
                    told.append((name, 1, b""))
                    there.discard(name)
        result = await client.txn().then(*ops).commit()
        history += [(result.revision, *one) for one in told]
        if random.random() < 0.3:
            await trio.lowlevel.checkpoint()
    return history


async def read(watch: Watch, random: Random, into: list[Told]) -> None:
    """Take events up to those of a revision, at an uneven pace."""
    async for event in watch:
        into.append(told_by(event))
        if random.random() < 0.05:
            await trio.lowlevel.checkpoint()
        if event.key.endswith(b"/end"):
            return


@pytest.mark.parametrize("seed", range(25))
async def test_a_stream_that_breaks_anywhere(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_stream, "PAUSE_SECONDS", (0.0,))
    monkeypatch.setattr(watch_stream, "STALL_SECONDS_MAX", 0.002)
    random = Random(seed)
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as writer:
        channel = BreakingChannel(
            NodeChannel(node.dispatcher, node.outbox), seed, random.choice([0.02, 0.1, 0.3])
        )
        there: set[bytes] = set()
        history = await write_some(writer, random, 20, there)
        async with opened(channel) as client:
            await watch_while_writing(client, writer, random, history, there)
        assert channel.broken


async def watch_while_writing(
    client: Client, writer: Client, random: Random, history: list[Told], there: set[bytes]
) -> None:
    """Watchers from the past and from now on; each must be told exactly what happened."""
    seen: list[tuple[Callable[[Told], bool], list[Told]]] = []
    selectors: list[Keys] = [triode.prefix("a/"), triode.prefix("b/"), triode.prefix("")]
    async with trio.open_nursery() as readers:
        begun = [trio.Event() for _ in range(6)]

        async def one(begun: trio.Event) -> None:
            keys = random.choice(selectors)
            start = random.choice([0, 0, 2, random.randrange(2, 20)])
            into: list[Told] = []
            size = random.choice([100, 1000, 1 << 20])
            async with client.watch(
                keys, start_revision=start, buffer_bytes_max=size, require_leader=False
            ) as watch:
                first = start or watch.position
                seen.append((lambda told: told[1] in keys and told[0] >= first, into))
                begun.set()
                await read(watch, random, into)

        for event in begun:
            readers.start_soon(one, event)
        for event in begun:
            with trio.fail_after(20):
                await event.wait()
        history += await write_some(writer, random, 60, there)
        end = await writer.txn().then(triode.put("a/end"), triode.put("b/end")).commit()
        history += [(end.revision, b"a/end", 0, b""), (end.revision, b"b/end", 0, b"")]
    for meant, told in seen:
        expected = [each for each in history if meant(each)]
        ends = next(n for n, each in enumerate(expected) if each[1].endswith(b"/end"))
        assert told == expected[: ends + 1]


async def test_the_position_is_known_before_anything_has_come() -> None:
    """What is written while the stream is away comes, though the watch had seen no event yet."""
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as writer:
        channel = BreakingChannel(NodeChannel(node.dispatcher, node.outbox), 0, 0.0)
        async with opened(channel) as client, client.watch("k", require_leader=False) as watch:
            channel.probability = 1.0  # the next message, in whichever direction, breaks it
            await writer.put("k", "1")
            while not channel.broken:
                await trio.sleep(0.001)
            await writer.put("k", "2")
            channel.probability = 0.0
            with trio.fail_after(10):
                assert [(await anext(watch)).value for _ in range(2)] == [b"1", b"2"]
            assert watch.resumes == 1


async def test_the_server_is_left_with_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of a watch that was given up while it was asked for, nor of one that was moved."""
    monkeypatch.setattr(watch_stream, "STALL_SECONDS_MAX", 0.001)
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        hub = node.context.hub
        async with client.watch("k") as quick:
            with trio.CancelScope() as scope:
                scope.cancel()
                async with client.watch("given up"):
                    raise AssertionError
            await client.put("k", "1")
            assert (await anext(quick)).value == b"1"
            await trio.testing.wait_all_tasks_blocked()
            assert hub.statistics().watchers == 1
            async with client.watch("k", buffer_bytes_max=10) as slow:
                for number in range(10):
                    await client.put("k", str(number))
                    assert (await anext(quick)).value == str(number).encode()
                assert slow.stream is not quick.stream
                await slow.request_progress()
                while slow.progress_revision == 0:
                    await anext(slow)
                await trio.testing.wait_all_tasks_blocked()
                assert hub.statistics().watchers == 2
        await trio.testing.wait_all_tasks_blocked()
        assert hub.statistics().watchers == 0


async def test_errors_that_do_not_pass_end_the_watch() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node:
        inner = NodeChannel(node.dispatcher, node.outbox)
        errors = [EtcdError("no such service", code=Code.UNIMPLEMENTED)]
        async with opened(FailingChannel(inner, errors)) as client:
            with pytest.raises(EtcdError, match="no such service"):
                async with client.watch("k"):
                    raise AssertionError
            async with client.watch("k"):  # the next one tries anew
                pass


async def test_a_token_that_is_not_good_any_more_is_replaced() -> None:
    """The channel learns of it by a call; then the watch goes on."""
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node:
        channel = FailingChannel(
            NodeChannel(node.dispatcher, node.outbox), [InvalidAuthToken(), ConnectionLost()]
        )
        async with opened(channel) as client, client.watch("k") as watch:
            assert channel.calls == ["Range"]
            await client.put("k", "1")
            assert (await anext(watch)).value == b"1"


async def test_a_login_that_is_never_good_ends_the_watch() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node:
        errors: list[EtcdError] = [InvalidAuthToken() for _ in range(100)]
        channel = FailingChannel(NodeChannel(node.dispatcher, node.outbox), errors)
        async with opened(channel) as client:
            with pytest.raises(InvalidAuthToken):
                async with client.watch("k"):
                    raise AssertionError
        assert len(channel.calls) == watch_stream.LOGIN_ATTEMPTS_MAX


class FailingChannel(BreakingChannel):
    """Opening a stream fails with each of the errors, in turn; then it does not."""

    def __init__(self, inner: NodeChannel, errors: list[EtcdError]) -> None:
        super().__init__(inner, 0, 0.0)
        self.errors = errors
        self.calls: list[str] = []

    def _breaks(self) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        return False

    async def unary(self, method: Method, request: bytes, **options: Any) -> bytes:
        self.calls.append(method.name)
        return await super().unary(method, request, **options)


async def test_a_server_that_ends_each_stream_is_asked_ever_more_rarely(
    autojump_clock: object,
) -> None:
    """Also one that takes the watch first; a call that has lived for a while is made again at once."""
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as writer:
        channel = EndingChannel(NodeChannel(node.dispatcher, node.outbox), 0, 0.0)
        async with opened(channel) as client, client.watch("k", require_leader=False) as watch:
            await trio.sleep(10)
            assert 10 < len(channel.calls) < 25
            channel.ends = False
            await trio.sleep(10)
            before = len(channel.calls)
            channel.probability = 1.0
            await writer.put("k", "1")
            await trio.testing.wait_all_tasks_blocked()
            channel.probability = 0.0
            lost = trio.current_time()
            assert (await anext(watch)).value == b"1"
            assert trio.current_time() - lost < 0.1
            assert len(channel.calls) > before


class EndingChannel(BreakingChannel):
    """Its streams end with the first message that comes, as long as `ends`."""

    ends = True

    def __init__(self, inner: NodeChannel, seed: int, probability: float) -> None:
        super().__init__(inner, seed, probability)
        self.calls: list[float] = []

    @asynccontextmanager
    async def stream(self, method: Method, **options: Any) -> AsyncIterator[ChannelStream]:
        self.calls.append(trio.current_time())
        async with super().stream(method, **options) as stream:
            yield _Ending(stream) if self.ends else stream


class _Ending:
    """One message comes, then the end."""

    def __init__(self, inner: ChannelStream) -> None:
        self.inner = inner
        self.endpoint = inner.endpoint
        self.over = False

    async def send(self, message: bytes) -> None:
        await self.inner.send(message)

    async def half_close(self) -> None:
        await self.inner.half_close()

    async def receive(self) -> bytes | None:
        if self.over:
            return None
        self.over = True
        return await self.inner.receive()


# --- in a simulated cluster -----------------------------------------------------------------------


async def _put(client: Client, key: str, value: str) -> None:
    """Put until there is an answer: more than one put may come of it."""
    while True:
        try:
            with trio.move_on_after(3):
                await client.put(key, value)
                return
        except EtcdError:
            await trio.sleep(0.1)


@pytest.mark.parametrize("seed", range(3))
def test_members_come_and_go(seed: int) -> None:
    """A watch over crashes of leaders tells the same as the history that is read afterwards."""
    triode.testing.run(_members_come_and_go, seed, seed=seed)


async def _members_come_and_go(seed: int) -> None:
    random = Random(seed)
    told: list[Told] = []
    async with (
        triode.testing.cluster(members=3, seed=seed) as cluster,
        cluster.connect() as client,
        trio.open_nursery() as nursery,
    ):
        begun = trio.Event()

        async def follow() -> None:
            async with client.watch(triode.prefix("k")) as watch:
                begun.set()
                async for event in watch:
                    what = told_by(event)
                    told.append(what)

        async def crash() -> None:
            while True:
                await trio.sleep(random.uniform(0.5, 3))
                victim = await cluster.leader() if random.random() < 0.7 else "m1"
                await cluster.crash(victim)
                await trio.sleep(random.uniform(0.1, 3))
                await cluster.restart(victim)

        nursery.start_soon(follow)
        await begun.wait()
        with trio.CancelScope() as faults:
            async with trio.open_nursery() as inner:
                inner.start_soon(crash)
                for number in range(60):
                    await _put(client, f"k{number % 5}", str(number))
                    await trio.sleep(0.2)
                faults.cancel()
        for machine in cluster.machines.values():
            if not machine.up:
                await cluster.restart(machine)
        await _put(client, "k", "end")
        while not told or told[-1][3] != b"end":
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            history = await _history(client)
    assert told == history[: len(told)] and len(told) >= 61


async def _history(client: Client) -> list[Told]:
    events: list[Told] = []
    async with client.watch(triode.prefix("k"), start_revision=1) as watch:
        async for event in watch:
            events.append(told_by(event))
            if event.value == b"end":
                return events
    raise AssertionError
