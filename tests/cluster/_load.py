"""Clients that work on a cluster while things happen to it, and write down everything."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc

from triode.rpc.pb.rpc_pb2 import RangeRequest
from triode.testing.checkers import requests as r
from triode.testing.workload import messages

KEYS = [b"load/%d" % number for number in range(5)]
BREATH_SECONDS = 0.002  # between two requests of a client: the machine belongs to the servers
KINDS = {"put": 8, "get": 6, "swap": 3, "serializable": 2, "delete": 1}


class Caller(Protocol):
    """A client of one member."""

    target: str

    def call(self, method: str, request: Any, seconds: float = ...) -> Any: ...

    def close(self) -> None: ...


class Load:
    """Some threads, each with clients of its own, that send requests until they are stopped.

    A client stays with a member until a request fails, and then goes on with the next one. With `retrying`, the
    same request is sent again there; `unanswered` holds those that no member answered within the deadline.
    """

    def __init__(
        self,
        connect: Callable[[str], Caller],
        operation: Callable[..., Any],
        targets: Sequence[str],
        *,
        clients: int = 4,
        seed: int = 1,
        call_seconds: float = 2.0,
        retrying: bool = False,
        tries_max: int = 20,
    ) -> None:
        self.operations: list[Any] = []
        self.unanswered: list[Any] = []
        self.tries: list[int] = []
        self._connect = connect
        self._operation = operation
        self._targets = list(targets)
        self._call_seconds = call_seconds
        self._tries_max = tries_max if retrying else 1
        self._failures: list[BaseException] = []
        self._stopped = threading.Event()
        self._values = iter(range(1 << 60))
        self._lock = threading.Lock()
        self._last_stamp = 0
        self._answered = threading.Condition()
        self._answers = 0
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(seed * 100 + number)))
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def wait_answers(self, more: int, seconds: float = 30) -> None:
        """Until so many more changes have been acknowledged."""
        with self._answered:
            goal = self._answers + more
            assert self._answered.wait_for(lambda: self._answers >= goal, seconds), (
                f"{self._answers - goal + more} of {more} requests were answered in {seconds} s: "
                f"{[one.error for one in self.operations[-4:]]}"
            )

    def end(self) -> None:
        """End the threads."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def stop(self) -> list[Any]:
        """End the threads; raises what went wrong in one of them. Returns the history."""
        self.end()
        if self._failures:
            raise self._failures[0]
        return self.operations

    def _run(self, number: int, chance: random.Random) -> None:
        clients = [self._connect(target) for target in self._targets]
        place = number % len(clients)
        try:
            while not self._stopped.wait(BREATH_SECONDS):
                place = self._request(number, clients, place, chance)
        except BaseException as error:  # noqa: BLE001  # raised again by `stop`
            self._failures.append(error)
        finally:
            for client in clients:
                client.close()

    def _request(
        self, number: int, clients: list[Caller], place: int, chance: random.Random
    ) -> int:
        """One request, as often as it takes; returns the place of the member to go on with."""
        (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
        key = chance.choice(KEYS)
        for tries in range(1, self._tries_max + 1):
            one = self._begin(number, clients[place].target, kind, key)
            if self._send(clients[place], one):
                self.tries.append(tries)
                return place
            place = (place + 1) % len(clients)
            if tries >= len(clients):  # not everybody at once again
                self._stopped.wait(0.05)
        self.unanswered.append(one)
        return place

    def _begin(self, number: int, endpoint: str, kind: str, key: bytes) -> Any:
        with self._lock:
            value = b"v%d" % next(self._values)
            if kind in ("get", "serializable"):
                value = None  # type: ignore[assignment]
            one = self._operation(number, endpoint, kind, key, value, self._stamp())
            self.operations.append(one)
        return one

    def _send(self, client: Caller, one: Any) -> bool:
        try:
            if one.kind == "swap":
                self._swap(client, one)
            else:
                self._plain(client, one)
        except grpc.RpcError as error:
            one.error = f"{error.code().name}: {error.details()}"
            return False
        with self._lock:
            one.returned = self._stamp()
        with self._answered:
            self._answers += one.changed
            self._answered.notify_all()
        return True

    def _plain(self, client: Caller, one: Any) -> None:
        if one.kind == "put":
            self._call(client, one, r.Put(one.key, one.value))
            one.changed = True
        elif one.kind == "delete":
            one.changed = self._call(client, one, r.Delete(one.key)).deleted > 0
        else:
            request = r.Range(one.key, serializable=one.kind == "serializable")
            answer = self._call(client, one, request)
            one.found = answer.kvs[0].value if answer.kvs else None

    def _swap(self, client: Caller, one: Any) -> None:
        """A put if nobody has written since it was read; else, a read."""
        seen = client.call("KV/Range", RangeRequest(key=one.key), self._call_seconds).kvs
        compare = r.Compare(one.key, r.MOD, r.EQUAL, seen[0].mod_revision if seen else 0)
        request = r.Txn((compare,), (r.Put(one.key, one.value),), (r.Range(one.key),))
        answer = self._call(client, one, request)
        one.changed = answer.succeeded
        if not answer.succeeded:
            kvs = answer.responses[0].response_range.kvs
            one.found = kvs[0].value if kvs else None

    def _call(self, client: Caller, one: Any, request: r.Request) -> Any:
        one.request = request
        method, message = messages.METHODS[type(request)], messages.message_of(request)
        answer = client.call(method, message, self._call_seconds)
        one.revision, one.answer = answer.header.revision, messages.answer_of(request, answer)
        return answer

    def _stamp(self) -> int:
        """The time, never the same twice. With the lock."""
        self._last_stamp = max(self._last_stamp + 1, time.monotonic_ns())
        return self._last_stamp
