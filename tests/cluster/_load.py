"""Clients that work on a cluster while things happen to it, and write down everything."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc

from triode.rpc.pb.rpc_pb2 import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

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
            if self._send(clients[place], one, chance):
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
            one = self._operation(number, endpoint, kind, key, value, time.monotonic_ns())
            self.operations.append(one)
        return one

    def _send(self, client: Caller, one: Any, chance: random.Random) -> bool:
        try:
            if one.kind == "swap":
                self._swap(client, one)
            else:
                self._plain(client, one)
        except grpc.RpcError as error:
            one.error = f"{error.code().name}: {error.details()}"
            return False
        one.returned = time.monotonic_ns()
        with self._answered:
            self._answers += one.changed
            self._answered.notify_all()
        return True

    def _plain(self, client: Caller, one: Any) -> None:
        if one.kind == "put":
            answer = self._call(client, "KV/Put", PutRequest(key=one.key, value=one.value))
            one.changed = True
        elif one.kind == "delete":
            answer = self._call(client, "KV/DeleteRange", DeleteRangeRequest(key=one.key))
            one.changed = answer.deleted > 0
        else:
            request = RangeRequest(key=one.key, serializable=one.kind == "serializable")
            answer = self._call(client, "KV/Range", request)
            one.found = answer.kvs[0].value if answer.kvs else None
        one.revision = answer.header.revision

    def _swap(self, client: Caller, one: Any) -> None:
        """A put if nobody has written since it was read; else, a read."""
        seen = self._call(client, "KV/Range", RangeRequest(key=one.key)).kvs
        request = TxnRequest(
            compare=[
                Compare(
                    key=one.key,
                    target=Compare.MOD,
                    result=Compare.EQUAL,
                    mod_revision=seen[0].mod_revision if seen else 0,
                )
            ],
            success=[RequestOp(request_put=PutRequest(key=one.key, value=one.value))],
            failure=[RequestOp(request_range=RangeRequest(key=one.key))],
        )
        answer = self._call(client, "KV/Txn", request)
        one.revision, one.changed = answer.header.revision, answer.succeeded
        if not answer.succeeded:
            kvs = answer.responses[0].response_range.kvs
            one.found = kvs[0].value if kvs else None

    def _call(self, client: Caller, method: str, request: Any) -> Any:
        return client.call(method, request, self._call_seconds)
