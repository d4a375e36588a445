"""Clients that write down what they were told, the daemon with small log files, and its disk's faults."""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import grpc
import pytest

from triode.rpc.methods import METHODS
from triode.rpc.pb.rpc_pb2 import (
    CompactionRequest,
    DefragmentRequest,
    DeleteRangeRequest,
    HashKVRequest,
    LeaseGrantRequest,
    LeaseLeasesRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
    WatchCreateRequest,
    WatchRequest,
)

Changes = dict[bytes, "bytes | None"]
CALL_SECONDS_MAX = 20
EVERYTHING = b"\0"  # as key and as range_end
SMALL_SEGMENTS = "import triode.actors.storage as storage\nstorage.SEGMENT_BYTES = 65536\n"


class Client:
    """A foreign client: grpcio, which does not try a call twice."""

    def __init__(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self.channel = grpc.insecure_channel(address, options)
        self._calls: dict[str, Any] = {}

    def call(self, method: str, request: Any) -> Any:
        path = f"/etcdserverpb.{method}"
        if path not in self._calls:
            self._calls[path] = self.channel.unary_unary(
                path, lambda m: m.SerializeToString(), METHODS[path].response.FromString
            )
        return self._calls[path](request, timeout=CALL_SECONDS_MAX)

    def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        found = self.call("Maintenance/HashKV", HashKVRequest(revision=revision))
        return found.hash, found.compact_revision

    def events(self, start: int, end: int) -> dict[int, Changes]:
        """What a watch from `start` on tells, up to revision `end`: the changes of each revision."""
        found: dict[int, Changes] = {}
        if start > end:
            return found
        requests: queue.Queue[Any] = queue.Queue()
        create = WatchCreateRequest(key=EVERYTHING, range_end=EVERYTHING, start_revision=start)
        requests.put(WatchRequest(create_request=create))
        path = "/etcdserverpb.Watch/Watch"
        stream = self.channel.stream_stream(
            path, lambda m: m.SerializeToString(), METHODS[path].response.FromString
        )(iter(requests.get, None), timeout=CALL_SECONDS_MAX)
        for response in stream:
            assert not response.canceled, response
            for event in response.events:
                value = None if event.type else event.kv.value
                found.setdefault(event.kv.mod_revision, {})[event.kv.key] = value
            if max(found, default=0) >= end:
                break
        requests.put(None)
        stream.cancel()
        return found

    def close(self) -> None:
        self.channel.close()


@attrs.define
class Ledger:
    """What was asked for and what was told; `check` compares it with a server."""

    present: Changes = attrs.Factory(dict)
    told: dict[int, Changes] = attrs.Factory(dict)
    untold: list[Changes] = attrs.Factory(list)
    leases: set[int] = attrs.Factory(set)
    revision: int = 1
    compacted: int = -1
    checked: int = 1
    lock: threading.Lock = attrs.Factory(threading.Lock)

    def asks(self, changes: Changes) -> None:
        with self.lock:
            self.untold.append(changes)

    def saw(self, changes: Changes, revision: int, *, before: int) -> None:
        with self.lock:
            assert revision > before, "an answer is newer than those before the question"
            assert revision not in self.told, "a revision is given once"
            self.untold.remove(changes)
            self.told[revision] = changes
            self.revision = max(self.revision, revision)

    def check(self, client: Client) -> int:
        """All that was told is there, what was not told is there whole or not; returns the revision."""
        now = client.call("KV/Range", RangeRequest(key=EVERYTHING, range_end=EVERYTHING))
        revision = int(now.header.revision)
        assert revision >= self.revision, "revisions never go back"
        _, compacted = client.hash_kv()
        assert compacted >= self.compacted
        start = max(self.checked, compacted) + 1
        found = client.events(start, revision)
        assert sorted(found) == list(range(start, revision + 1)), "no revision is left out"
        for number, changes in found.items():
            if number in self.told:
                assert changes == self.told[number], f"revision {number} is as it was told"
            else:
                assert changes in self.untold, f"revision {number} was asked for as it is"
                self.untold.remove(changes)
                self.told[number] = changes
        self._check_present({kv.key: kv.value for kv in now.kvs})
        leases = client.call("Lease/LeaseLeases", LeaseLeasesRequest()).leases
        assert {lease.ID for lease in leases} >= self.leases
        self.checked, self.revision = revision, revision
        return revision

    def _check_present(self, kvs: dict[bytes, bytes]) -> None:
        for _, changes in sorted(self.told.items()):
            self.present.update(changes)
        # one that was answered too late to be noted, and is compacted already
        maybe = {key: value for changes in self.untold for key, value in changes.items()}
        for key, value in self.present.items():
            assert kvs.get(key) in (value, maybe.get(key, value)), key
        self.told.clear()
        self.untold.clear()
        self.present = dict(kvs)


class Load:
    """Threads that write, each to keys of its own, until they are stopped or the server is gone."""

    def __init__(self, address: str, ledger: Ledger, seed: int, *, compacting: bool) -> None:
        self.ledger = ledger
        self.address = address
        self.compacting = compacting
        self.stopped = threading.Event()
        self.failures: list[BaseException] = []
        self.codes: set[grpc.StatusCode] = set()
        self.written = 0
        self.threads = [
            threading.Thread(target=self._run, args=(b"%d" % n, random.Random(seed * 10 + n)))
            for n in range(4)
        ]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Wait for the threads; raises what one of them found wrong."""
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def _run(self, name: bytes, chance: random.Random) -> None:
        client = Client(self.address)
        try:
            while not self.stopped.is_set():
                self._write(client, name, chance)
        except grpc.RpcError as error:
            self.codes.add(error.code())
        except BaseException as error:  # noqa: BLE001  # raised again by `stop`
            self.failures.append(error)
        finally:
            client.close()

    def _write(self, client: Client, name: bytes, chance: random.Random) -> None:
        self.written += 1
        value = b"%d" % chance.getrandbits(64) + bytes(chance.randrange(200))
        keys = [b"%s/%d" % (name, chance.randrange(30)) for _ in range(3)]
        kind = chance.randrange(20)
        if kind == 0:
            lease = chance.getrandbits(40) + 1
            client.call("Lease/LeaseGrant", LeaseGrantRequest(ID=lease, TTL=5000))
            self.ledger.leases.add(lease)
        elif kind == 1 and self.compacting and name == b"0":
            self._compact(client, self.ledger.revision - chance.randrange(20))
        elif kind == 1 and self.compacting and name == b"1":
            client.call("Maintenance/Defragment", DefragmentRequest())
        elif kind < 4:
            self._change(client, "DeleteRange", DeleteRangeRequest(key=keys[0]), {keys[0]: None})
        elif kind < 10:
            puts = [RequestOp(request_put=PutRequest(key=key, value=value)) for key in set(keys)]
            self._change(client, "Txn", TxnRequest(success=puts), dict.fromkeys(keys, value))
        else:
            request = PutRequest(key=keys[0], value=value)
            self._change(client, "Put", request, {keys[0]: value})

    def _change(self, client: Client, method: str, request: Any, changes: Changes) -> None:
        before = self.ledger.revision
        self.ledger.asks(changes)
        response = client.call(f"KV/{method}", request)
        if method == "DeleteRange" and not response.deleted:
            self.ledger.untold.remove(changes)
        else:
            self.ledger.saw(changes, response.header.revision, before=before)

    def _compact(self, client: Client, revision: int) -> None:
        if revision > max(self.ledger.compacted, self.ledger.checked):
            client.call("KV/Compact", CompactionRequest(revision=revision))
            self.ledger.compacted = revision


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def start_load() -> Iterator[Callable[..., Load]]:
    """Start a load on a server; its threads are ended with the test."""
    started: list[Load] = []

    def start(address: str, ledger: Ledger, seed: int = 1, *, compacting: bool = False) -> Load:
        started.append(Load(address, ledger, seed, compacting=compacting))
        return started[-1]

    yield start
    for load in started:
        load.stopped.set()
        for thread in load.threads:
            thread.join()


@pytest.fixture
def connect() -> Iterator[Callable[[str], Client]]:
    """Make a client of an address."""
    made: list[Client] = []

    def make(address: str) -> Client:
        made.append(Client(address))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def small_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons that are started from now on cut their log every 64 KiB, which no setting offers."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SMALL_SEGMENTS)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def pause() -> Callable[[float], None]:
    """Let the load go on for so many seconds: what is tested is that any moment will do."""
    never = threading.Event()

    def wait(seconds: float) -> None:
        never.wait(seconds)

    return wait
