"""Whole members in one program, over loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio

from triode.actors.call import Call, Waiter
from triode.actors.node import Node, open_node
from triode.config import Config
from triode.errors import EtcdError, TriodeError
from triode.protowire import fields
from triode.rpc.pb.rpc_pb2 import LeaseKeepAliveRequest

R = TypeVar("R")
FAST: dict[str, Any] = {
    "heartbeat_interval": 0.02,
    "election_timeout": 0.2,
    "raft_write_timeout": 2.0,  # the version is looked at every second
}


def free_url() -> str:
    """An address that nobody listens on: peers must know it before anybody does."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


class Members:
    """Starts and stops members; the data of each stays in its directory."""

    def __init__(self, nursery: trio.Nursery, folder: Path) -> None:
        self.nursery = nursery
        self.folder = folder
        self.nodes: dict[str, Node] = {}
        self.urls: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._ended: dict[str, trio.Event] = {}
        self._errors: dict[str, Exception] = {}

    def config(self, name: str, **settings: Any) -> Config:
        url = self.urls.setdefault(name, free_url())
        settings = {**FAST, **self.settings, **settings}
        return Config(
            name=name,
            data_dir=self.folder / name,
            listen_client_urls=("http://127.0.0.1:0",),
            listen_peer_urls=(url,),
            initial_advertise_peer_urls=(url,),
            **settings,
        )

    async def start(self, *names: str, **settings: Any) -> None:
        """Start them side by side; returns when they serve."""
        for name in names:
            self.urls.setdefault(name, free_url())
        everybody = settings.pop("everybody", names)
        settings.setdefault(
            "initial_cluster", ",".join(f"{name}={self.urls[name]}" for name in everybody)
        )
        if len(names) == 1:
            await self.nursery.start(self._run, self.config(names[0], **settings))
            return
        async with trio.open_nursery() as starting:
            for name in names:
                config = self.config(name, **settings)
                starting.start_soon(self.nursery.start, self._run, config)

    async def _run(self, config: Config, task_status: trio.TaskStatus[None]) -> None:
        name = config.name
        self._ended[name] = trio.Event()
        started = False
        try:
            async with open_node(config) as self.nodes[name]:
                started = True
                task_status.started()
                with trio.CancelScope() as self._scopes[name]:
                    await trio.sleep_forever()
        except TriodeError as error:
            if not started:
                raise
            self._errors[name] = error
        finally:
            self.nodes.pop(name, None)
            self._ended[name].set()

    async def ended(self, name: str) -> BaseException:
        """Wait until a member has ended by itself; why."""
        with trio.fail_after(20):
            await self._ended[name].wait()
        error: BaseException = self._errors.pop(name)
        while error.__cause__ is not None:
            error = error.__cause__
        return error

    async def stop(self, *names: str) -> None:
        for name in names:
            self._scopes[name].cancel()
        for name in names:
            await self._ended[name].wait()

    def leader(self) -> Node:
        return next(node for node in self.nodes.values() if node.peer.is_leader)

    def followers(self) -> list[Node]:
        return [node for node in self.nodes.values() if not node.peer.is_leader]


@asynccontextmanager
async def members(folder: Path) -> AsyncIterator[Members]:
    """Stops them all at the end."""
    async with trio.open_nursery() as nursery:
        yield Members(nursery, folder)
        nursery.cancel_scope.cancel()


async def ask(node: Node, path: str, request: Any, response: type[R]) -> R:
    """Call a service of a node; raises its EtcdError."""
    waiter = Waiter()
    node.dispatcher.call(path, request.SerializeToString(), Call(waiter, 0))
    node.outbox.flush()
    answer = await waiter.wait(20)
    return response.FromString(answer)  # type: ignore[attr-defined, no-any-return]


async def until(done: Any, seconds_max: float = 20) -> None:
    """Poll; fails after a while."""
    with trio.fail_after(seconds_max):
        while not done():  # noqa: ASYNC110  # what is waited for is spread over several nodes
            await trio.sleep(0.01)


class Answers:
    """The client's end of a stream."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.ended: list[EtcdError | None] = []
        self.news = trio.Event()

    def send(self, message: bytes) -> None:
        self.messages.append(message)
        self.news.set()
        self.news = trio.Event()

    def backlog(self) -> int:
        return 0

    def finish(self, error: EtcdError | None = None) -> None:
        self.ended.append(error)
        self.news.set()
        self.news = trio.Event()


async def keep_alive(node: Node, *leases: int) -> list[int]:
    """Renew leases on one stream; the TTLs in the order of the answers."""
    answers = Answers()
    stream = node.dispatcher.open("/etcdserverpb.Lease/LeaseKeepAlive", answers)
    assert stream is not None
    for lease in leases:
        stream.message(LeaseKeepAliveRequest(ID=lease).SerializeToString())
    stream.half_closed()
    with trio.fail_after(20):
        while not answers.ended:
            await answers.news.wait()
    assert answers.ended == [None]
    found = [dict(fields(message)) for message in answers.messages]
    assert [each[2] for each in found] == list(leases)
    return [int(each.get(3, 0)) for each in found]
