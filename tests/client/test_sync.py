"""The synchronous façade: the same client, without Trio around it."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import triode
from triode import errors, key, prefix, put
from triode.client.errors import ClientClosed, EndpointError, LeaseLost
from triode.client.portal import Block, Portal
from triode.client.sync import SyncClient


@pytest.fixture(scope="module")
def daemon(launch_triode_once: Callable[..., Any]) -> Any:
    return launch_triode_once("--backend", "memory")


@pytest.fixture(params=["etcd", "daemon"])
def client(request: pytest.FixtureRequest) -> Iterator[SyncClient]:
    server = request.getfixturevalue(request.param)
    with triode.connect_sync(server.address, call_timeout=20) as client:
        yield client


def test_keys_and_values(client: SyncClient, base: str) -> None:
    client.put(base, "1")
    pair = client.get(base)
    assert pair is not None
    assert pair.value == b"1"
    result = client.txn().when(key(base).value == "1").then(put(base, "2")).commit()
    assert result.succeeded
    for number in range(5):
        client.put(f"{base}{number}", "x")
    assert len(list(client.scan(prefix(base), page_keys=2))) == 6
    assert [len(page) for page in client.scan(prefix(base), page_keys=4).pages()] == [4, 2]
    inner = client.namespace(base)
    assert isinstance(inner, SyncClient)
    assert inner.count(triode.ALL_KEYS) == 5
    with pytest.raises(errors.EmptyKey):
        client.put("", "")
    assert client.endpoints == client._target.endpoints
    assert [member.name for member in client.cluster.members()] == ["default"]
    with client.maintenance.snapshot() as snapshot:
        assert sum(len(piece) for piece in snapshot) > 10_000


def test_blocks_and_iterators(client: SyncClient, base: str) -> None:
    with client.watch(prefix(base)) as watch:
        client.put(base + "a", "1")
        client.put(base + "b", "2")
        seen = []
        for event in watch:
            seen.append(event.key)
            if len(seen) == 2:
                break
        assert seen == [f"{base}a".encode(), f"{base}b".encode()]
        client.delete(base + "a")
        assert next(watch).key == f"{base}a".encode()
    with client.lease(60) as lease:
        client.put(base, "mine", lease=lease.id)
    assert client.get(base) is None


def test_a_block_that_fails(client: SyncClient, base: str) -> None:
    with pytest.raises(KeyError, match="mine"), client.lease(60) as lease:  # noqa: PT012
        client.put(base, "mine", lease=lease.id)
        raise KeyError("mine")
    assert client.get(base) is None


def test_a_lease_that_is_lost_is_told_at_the_end_of_the_block(
    client: SyncClient, base: str
) -> None:
    with pytest.raises(LeaseLost), client.lease(2) as lease:  # noqa: PT012
        client.revoke(lease.id)
        client.put(base, "still here")
        threading.Event().wait(1.5)


def test_functions_run_outside_of_the_loop(client: SyncClient, base: str) -> None:
    client.put(base + "from", "10")
    client.put(base + "to", "0")
    threads = set()

    def move(stm: Any) -> str:
        threads.add(threading.current_thread().name)
        value = stm.get(base + "from")
        stm.put(base + "to", value)
        stm.put(base + "from", "0")
        return "moved"

    client.stm(move)
    assert client.get(base + "to").value == b"10"  # type: ignore[union-attr]
    assert threads
    assert "triode-client" not in threads


def test_threads_share_a_client(client: SyncClient, base: str) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            client.put(f"{base}{number}", "1")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = client.range(prefix(base)).kvs
    assert [pair.version for pair in pairs] == [20] * 5


def test_time_and_the_end(etcd: Any) -> None:
    before = threading.active_count()
    with triode.connect_sync(etcd.address, call_timeout=0.2) as client:
        client.put("a", "1")
        with client.lock("here"), pytest.raises(trio.TooSlowError):
            client._portal.call(trio.sleep, 5)
    with pytest.raises(ClientClosed):
        client.put("a", "1")
    assert threading.active_count() == before
    with pytest.raises(EndpointError), triode.connect_sync("no such:endpoint"):
        pass
    with pytest.raises(KeyError), triode.connect_sync(etcd.address):
        raise KeyError("mine")


def test_it_has_what_the_client_has(etcd: Any) -> None:
    with triode.connect_sync(etcd.address) as client:
        public = {name for name in dir(triode.Client) if not name.startswith("_")}
        assert public <= set(dir(client))
        assert (client.put.__doc__ or "").startswith("Set a key")
        unused: Callable[..., Any] = client.barrier
        assert callable(unused)


def test_ctrl_c_ends_what_waits(etcd: Any) -> None:
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
    before = threading.active_count()
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        triode.connect_sync(etcd.address) as client,
        client.watch("nothing ever happens") as watch,
    ):
        timer.start()
        next(watch)
    timer.join()
    assert threading.active_count() == before


def _interrupt() -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def _interrupted_when(begun: threading.Event) -> threading.Thread:
    def run() -> None:
        assert begun.wait(10)
        _interrupt()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_ctrl_c_cancels_what_was_waited_for() -> None:
    begun = threading.Event()
    told: list[str] = []

    async def work() -> None:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
                told.append("cleaned up")

    with Portal() as portal:
        thread = _interrupted_when(begun)
        with pytest.raises(KeyboardInterrupt):
            portal.call(work)
        assert told == ["cleaned up"]
        assert portal.call(str, 1) == "1"
    thread.join()


def test_a_second_ctrl_c_does_not_wait() -> None:
    begun, stubborn = threading.Event(), threading.Event()
    gate: list[trio.Event] = []

    async def work() -> None:
        gate.append(trio.Event())
        begun.set()
        with trio.CancelScope(shield=True) as shield:
            try:
                shield.shield = False
                await trio.sleep_forever()
            finally:
                shield.shield = True
                stubborn.set()
                await gate[0].wait()

    with Portal() as portal:
        threads = [_interrupted_when(begun), _interrupted_when(stubborn)]
        with pytest.raises(KeyboardInterrupt):
            portal.wait(work)
        assert stubborn.is_set()
        portal.call(gate[0].set)
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("where", ["enter", "leave"])
def test_ctrl_c_at_either_end_of_a_block(where: str) -> None:
    begun = threading.Event()
    told: list[str] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        try:
            if where == "enter":
                begun.set()
                await trio.sleep_forever()
            yield
            begun.set()
            await trio.sleep_forever()
        finally:
            told.append("left")

    with Portal() as portal:
        thread = _interrupted_when(begun)
        with pytest.raises(KeyboardInterrupt), Block(portal, manager()):
            assert where == "leave"
        assert told == ["left"]
    thread.join()


def test_a_block_that_is_entered_as_ctrl_c_comes_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        told.append("entered")
        try:
            yield
        finally:
            told.append("left")

    with Portal() as portal:
        wait = portal.wait

        def late(function: Callable[..., Any], *args: Any) -> Any:
            wait(function, *args)
            if told == ["entered"]:
                raise KeyboardInterrupt

        monkeypatch.setattr(portal, "wait", late)
        with pytest.raises(KeyboardInterrupt), Block(portal, manager()):
            raise AssertionError
        assert told == ["entered", "left"]


def test_after_ctrl_c_no_lock_is_taken_and_no_event_lost(
    daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()
    with (
        triode.connect_sync(daemon.address) as client,
        triode.connect_sync(daemon.address) as other,
        other.watch(prefix("ctrl-c/")) as queue,
        client.watch("ctrl-c") as watch,
    ):

        def look() -> None:
            next(queue)  # the holder's key
            next(queue)  # ours: it waits
            waits.set()

        threads = [threading.Thread(target=look), _interrupted_when(waits)]
        threads[0].start()
        with other.lock("ctrl-c"), pytest.raises(KeyboardInterrupt), client.lock("ctrl-c"):
            raise AssertionError
        assert client.count(prefix("ctrl-c/")) == 0
        for thread in threads:
            thread.join()
        begun, wait = threading.Event(), watch._target._wait

        def told() -> Any:
            begun.set()
            return wait()

        monkeypatch.setattr(watch._target, "_wait", told)
        thread = _interrupted_when(begun)
        with pytest.raises(KeyboardInterrupt):
            next(watch)
        thread.join()
        client.put("ctrl-c", "1")
        assert next(watch).value == b"1"
