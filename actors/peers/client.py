"""HTTP/1.1 requests to one peer: h11 over a transport, with a few connections kept for the next request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import h11
import trio

from ...rpc.peer_heads import headers_of, of_other_cluster
from ..actor import takes_tasks
from ..transport import Transport
from .contract import PeerReply
from .dial import dial
from .home import Home
from .urls import UrlPicker

__all__ = ["HttpExchange", "PeerClient", "refuse_strangers", "write_all"]

STRANGER = 412  # "Precondition Failed": how a member of another cluster refuses

HEADER_BYTES_MAX = 64 * 1024
REPLY_BYTES_MAX = 100 * 1024 * 1024  # a lease may have many keys; as in etcd
IDLE_CONNECTIONS_MAX = 4
IDLE_SECONDS_MAX = 2.0  # etcd closes a connection on which nothing comes for five


async def write_all(transport: Transport, data: bytes, seconds_max: float) -> None:
    """Write everything; raises OSError, also when nothing is taken for `seconds_max`."""
    rest = memoryview(data)
    while True:
        rest = rest[transport.write_nowait(rest) :]
        if not rest:
            return
        with trio.move_on_after(seconds_max) as waiting:
            await transport.wait_writable()
        if waiting.cancelled_caught:
            raise TimeoutError("the peer takes no more bytes")


class HttpExchange:
    """One connection as a client: a request, then its reply."""

    def __init__(self, transport: Transport, host: str) -> None:
        self.transport = transport
        self._host = host
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES_MAX)

    def head(self, verb: str, target: str, headers: Sequence[tuple[str, str]], size: int) -> bytes:
        """The bytes of a request's head; `size` bytes of body are to follow."""
        fields = [("Host", self._host), *headers]
        if size or verb != "GET":
            fields.append(("Content-Length", str(size)))
        head = self._h11.send(h11.Request(method=verb, target=target, headers=fields)) or b""
        if not size:
            self._h11.send(h11.EndOfMessage())
        return head

    def body(self, data: bytes, *, last: bool) -> bytes:
        """The bytes of a part of the body."""
        sent = self._h11.send(h11.Data(data=data)) or b""
        if last:
            self._h11.send(h11.EndOfMessage())
        return sent

    async def reply_head(self) -> h11.Response:
        """Wait for the head of the reply; raises OSError."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionResetError("the peer closed the connection")

    async def reply_body(self) -> bytes:
        """Wait for the rest; raises OSError, also for a body that is too large."""
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > REPLY_BYTES_MAX:
                raise OSError(f"a reply of more than {REPLY_BYTES_MAX} bytes")
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionResetError("the peer closed the connection")
        return bytes(body)

    async def _next_event(self) -> Any:
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                self._h11.receive_data(await self.transport.receive())
        except h11.RemoteProtocolError as error:
            raise ConnectionResetError(f"not a reply: {error}") from None
        return event

    @property
    def received_beyond(self) -> bytes:
        """What has come after the head of a reply and was not read as its body."""
        return bytes(self._h11.trailing_data[0])

    def reuse(self) -> bool:
        """Make ready for the next request, if there can be one."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return not self._h11.trailing_data[0]
        return False


def refuse_strangers(reply: PeerReply, cluster_id: int) -> None:
    """Raise OSError for the reply of a member of another cluster, which may have the address by now.

    Its refusal to talk to us (412) is read as that.
    """
    if reply.status != STRANGER and of_other_cluster(reply.headers, cluster_id):
        other = reply.headers["x-etcd-cluster-id"]
        raise OSError(f"the member at that address belongs to another cluster, {other}")


class PeerClient:
    """Requests to one member at whichever of its URLs answers."""

    def __init__(self, home: Home, urls: UrlPicker) -> None:
        self._home = home
        self._urls = urls
        self._idle: list[tuple[float, str, HttpExchange]] = []
        self._nursery: trio.Nursery | None = None
        self._running = trio.Event()

    @property
    def nursery(self) -> trio.Nursery | None:
        """Where tasks can be started; None while the link is down, or going down."""
        return self._nursery if takes_tasks(self._nursery) else None

    def open(self, nursery: trio.Nursery) -> None:
        """The link runs: requests may be made, and those that were wait no longer."""
        self._nursery = nursery
        self._running.set()

    async def request(
        self,
        verb: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        seconds_max: float,
    ) -> PeerReply:
        """One request to the current URL; raises OSError."""
        async with self.exchange(seconds_max) as http:
            data = http.head(verb, target, [*self._home.identity.headers(), *headers], len(body))
            if body:
                data += http.body(body, last=True)
            await write_all(http.transport, data, seconds_max)
            head = await http.reply_head()
            reply = PeerReply(head.status_code, headers_of(head.headers), await http.reply_body())
            refuse_strangers(reply, self._home.identity.cluster_id)
            return reply

    @asynccontextmanager
    async def exchange(self, seconds_max: float | None) -> AsyncIterator[HttpExchange]:
        """A connection for one request; within `seconds_max` in all. Raises OSError."""
        url = self._urls.pick()
        http: HttpExchange | None = None
        kept = False
        try:
            with trio.CancelScope() as scope:
                if seconds_max is not None:
                    scope.deadline = trio.current_time() + seconds_max
                http = self._take_idle(url) or await self.connect(url)
                yield http
            if scope.cancelled_caught:
                raise TimeoutError(f"{url} did not answer in time")
            if http is not None and http.reuse() and len(self._idle) < IDLE_CONNECTIONS_MAX:
                self._idle.append((self._home.world.clock.now(), url, http))
                kept = True
        except OSError:
            self._urls.failed(url)
            raise
        finally:
            if http is not None and not kept:
                http.transport.close()

    async def connect(self, url: str) -> HttpExchange:
        """A new connection, once the link runs; raises OSError."""
        while (nursery := self._nursery) is None:
            await self._running.wait()
        home = self._home
        transport = await dial(home.world.network, url, nursery, seconds_max=home.dial_seconds_max)
        return HttpExchange(transport, urlsplit(url).netloc)

    def _take_idle(self, url: str) -> HttpExchange | None:
        now = self._home.world.clock.now()
        while self._idle:
            since, its_url, http = self._idle.pop()
            if its_url == url and now - since <= IDLE_SECONDS_MAX:
                return http
            http.transport.close()
        return None

    def close(self) -> None:
        """The link runs no longer: close what is kept."""
        self._nursery = None
        self._running = trio.Event()
        for _, _, http in self._idle:
            http.transport.close()
        self._idle.clear()
