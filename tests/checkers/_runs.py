"""Histories that are right by construction: the real store executes one request after the other, and
each is then given a call before and a return after its moment, so that many of them overlap.

Some lose their answer, some of these never get to the store, and leases end without anybody asking.
"""

from __future__ import annotations

from random import Random
from typing import Any

from triode.rpc.pb import kv_pb2
from triode.rpc.pb import rpc_pb2 as pb
from triode.testing.checkers import requests as r
from triode.testing.checkers.evidence import Log
from triode.testing.checkers.history import (
    Event,
    History,
    Operation,
    Watch,
    WatchRequest,
    WatchResponse,
)
from triode.testing.checkers.model import Change
from triode.testing.workload.messages import answer_of, key_value, message_of

Api: Any = None  # tests/mvcc/conftest.py, set by the fixture
KEYS = [b"a", b"b", b"c", b"d", b"e/1", b"e/2", b"e/3"]
BETWEEN = 1000  # stamps between two executions


class Run:
    """See the module. `history`, `log` and `replayed` are what comes out."""

    def __init__(
        self,
        seed: int,
        count: int,
        *,
        clients: int = 5,
        unknown: float = 0.05,
        keys: list[bytes] | None = None,
        compact: bool = True,
        leases: bool = True,
        spread: int = 8,
    ) -> None:
        self.random = Random(seed)
        self.keys = KEYS if keys is None else keys
        self.api = Api.Api(Api.memory_backend())
        self.unknown = unknown
        self.compact = compact
        self.leases = leases
        self.spread = spread
        self.granted: list[int] = []
        self.history = History()
        self.changes: dict[int, tuple[Change, ...]] = {}
        self.events: dict[int, list[Event]] = {}
        self.stamps: dict[int, int] = {}  # when a revision was made
        self.free = dict.fromkeys(range(1, clients + 1), 0)
        self.numbers = clients
        self.used: set[int] = set()
        self.values = 0
        self.now = 0
        for _ in range(count):
            self.one()

    @property
    def log(self) -> Log:
        return Log(1, self.api.store.revision, self.changes)

    # --- one operation --------------------------------------------------------------------------

    def one(self) -> None:
        self.now += BETWEEN
        if self.granted and self.leases and self.random.random() < 0.01:
            self.execute(r.Revoke(self.granted.pop(0)))  # it has expired
        free = [client for client, at in self.free.items() if at < self.now - 1]
        if not free:
            return
        client = self.random.choice(free)
        request = self.request()
        call = self.stamp(max(self.free[client] + 1, self.now - self.spread * BETWEEN), self.now)
        returned = self.stamp(self.now + 1, self.now + self.spread * BETWEEN)
        if self.random.random() < self.unknown:
            del self.free[client]
            self.numbers += 1
            self.free[self.numbers] = self.now
            if self.random.random() < 0.6:
                self.execute(request)
            self.history.operations.append(Operation(client, request, call, error="lost"))
            return
        response, revision = self.execute(request)
        self.free[client] = returned
        self.history.operations.append(
            Operation(client, request, call, returned, response, revision)
        )
        if isinstance(response, r.Granted):
            self.granted.append(response.lease)

    def stamp(self, low: int, high: int) -> int:
        while True:
            stamp = self.random.randint(low, max(low, high - 1))
            if stamp not in self.used:
                self.used.add(stamp)
                return stamp
            high += 1

    def execute(self, request: r.Request) -> tuple[r.Response, int]:
        message = self.api.call(message_of(request))
        self.collect()
        if isinstance(message, tuple):
            return r.Refused(message[1]), 0
        return answer_of(request, message), message.header.revision

    def collect(self) -> None:
        for event in self.api.store.take_events():
            message = pb.WatchResponse.FromString(event.wire()).events[0]
            prev = self.api.store.prev_kv(event)
            before = key_value(pb.PutResponse.FromString(prev).prev_kv) if prev else None
            deleted = message.type == kv_pb2.Event.DELETE
            kv = key_value(message.kv)
            revision = kv.mod_revision
            change = Change(kv.key, None if deleted else kv)
            self.changes[revision] = (*self.changes.get(revision, ()), change)
            self.events.setdefault(revision, []).append(Event(deleted, kv, before))
            self.stamps[revision] = self.now

    # --- what is asked --------------------------------------------------------------------------

    def key(self) -> bytes:
        return self.random.choice(self.keys)

    def value(self) -> bytes:
        self.values += 1
        return b"v%d" % self.values

    def request(self) -> r.Request:
        kinds: list[Any] = [self.put] * 4 + [self.get] * 4 + [self.delete, self.txn, self.txn]
        if self.leases:
            kinds += [self.lease]
        if self.compact and self.random.random() < 0.1:
            return r.Compact(max(1, self.api.store.revision - self.random.randrange(-1, 20)))
        made: r.Request = self.random.choice(kinds)()
        return made

    def put(self) -> r.Put:
        lease = self.random.choice([0, 0, *self.granted[-3:]]) if self.leases else 0
        return r.Put(self.key(), self.value(), lease, prev_kv=self.random.random() < 0.2)

    def get(self) -> r.Range:
        luck = self.random.random()
        if luck < 0.2:
            return r.Range(b"e/", b"e0", limit=self.random.choice([0, 0, 1, 2]))
        if luck < 0.3:
            return r.Range(b"\0", b"\0")
        if luck < 0.45:
            back = self.random.randrange(-1, 15)
            return r.Range(self.key(), revision=max(0, self.api.store.revision - back))
        return r.Range(self.key())

    def delete(self) -> r.Delete:
        if self.random.random() < 0.2:
            return r.Delete(b"e/", b"e0", prev_kv=True)
        return r.Delete(self.key())

    def txn(self) -> r.Txn:
        key, other = self.random.sample(self.keys, 2)
        guess = self.random.choice([0, self.mod_of(key), self.mod_of(key)])
        inner = r.Txn((), (r.Put(other, self.value()),))
        success: list[r.Op] = [r.Put(key, self.value())]
        if self.random.random() < 0.3:
            success.append(inner)
        failures: list[tuple[r.Op, ...]] = [(), (r.Range(key),), (r.Delete(key),)]
        failure = self.random.choice(failures)
        return r.Txn((r.Compare(key, r.MOD, r.EQUAL, guess),), tuple(success), failure)

    def mod_of(self, key: bytes) -> int:
        found = self.api.call(pb.RangeRequest(key=key)).kvs
        return found[0].mod_revision if found else 0

    def lease(self) -> r.Request:
        if self.granted and self.random.random() < 0.4:
            return r.Revoke(self.random.choice(self.granted))
        return r.Grant(self.random.randrange(1, 1 << 40), 60)

    # --- watches --------------------------------------------------------------------------------

    def watch(self, request: WatchRequest, *, last: int = 0, progress: bool = False) -> Watch:
        """What a right watch tells of the run, in responses of a few revisions each."""
        last = last or self.api.store.revision
        first = request.start_revision or 2
        watch = Watch(90, request, 0)
        watch.responses.append(WatchResponse(1, first - 1, created=True))
        batch: list[Event] = []
        stamp = 1
        for revision in range(first, last + 1):
            events = self.events[revision]
            stamp = max(stamp + 1, self.stamps[revision] + 1)
            batch += [
                event if request.prev_kv else Event(event.deleted, event.kv)
                for event in events
                if request.wants(event.kv.key, event.deleted)
            ]
            if batch and self.random.random() < 0.6:
                watch.responses.append(WatchResponse(stamp, revision, tuple(batch)))
                batch = []
                if progress and self.random.random() < 0.2:
                    stamp += 1
                    watch.responses.append(WatchResponse(stamp, revision, progress=True))
        if batch:
            watch.responses.append(WatchResponse(stamp + 1, last, tuple(batch)))
        watch.settled = last
        return watch
