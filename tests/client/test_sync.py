"""The synchronous façade: the same client, without Trio around it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import triode
from triode import errors, key, prefix, put
from triode.client.errors import ClientClosed, EndpointError, LeaseLost
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
