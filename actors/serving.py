"""Serving clients: the listeners, and a connection actor for each connection.

The first bytes of a connection say what it speaks: HTTP/2's preface, or HTTP/1.1 for the JSON gateway and the
pages. Everything is on one port, as with etcd. What only HTTP/1.1, JSON and the pages need is imported when
the first of them is asked for: most nodes serve nothing but gRPC, and imports are most of a node's start.
"""

from __future__ import annotations

import itertools
import resource
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import trio

from ..rpc.h2 import looks_like_http2
from .access import Access
from .actor import Actor, Restart
from .connection import GrpcConnection, GrpcSettings
from .context import NodeContext
from .dispatch import Dispatcher
from .errors import ActorStopped
from .listener import Bound, serve
from .log import Log
from .outbox import Outbox
from .pages import Pages
from .supervisor import Supervisor
from .transport import Transport

if TYPE_CHECKING:
    from .http1 import Http1Connection
    from .http2_pages import Http2Pages
    from .ui.endpoints import Ui

__all__ = ["ClientListener", "ConnectionActor"]

GRPC_OVERHEAD_BYTES = 512 * 1024
FIRST_BYTES_SECONDS_MAX = 30.0  # to say anything at all
DRAIN_SECONDS_MAX = 3.0
DRAIN_POLL_SECONDS = 0.01
CONNECTIONS_MAX = 65_536
OFF: Final = "off"  # of the setting `ui`
DESCRIPTORS_RESERVED = 150  # of the process, for files: as etcd does
log = Log("triode.serving")


class Served(Protocol):
    """A protocol over a transport."""

    @property
    def idle(self) -> bool:
        """Whether it can be closed without cutting anybody off."""

    async def run(self, first_bytes: bytes) -> None:
        """Serve to the end of the connection."""

    def shut_down(self) -> None:
        """Take no more calls, and become idle soon."""


class Protocols(NamedTuple):
    """What is spoken on a listener; None is not."""

    grpc: GrpcSettings | None
    http1: Callable[[Transport], Served] | None


class ConnectionActor(Actor[None]):
    """One connection: finds out what it speaks, then serves it."""

    restart = Restart.TEMPORARY
    mailbox_messages_max = 1
    stop_seconds_max = DRAIN_SECONDS_MAX

    def __init__(self, name: str, transport: Transport, protocols: Protocols) -> None:
        super().__init__(name=name)
        self._transport = transport
        self._protocols = protocols
        self.served: Served | None = None

    async def run(self) -> None:
        data = b""
        speaks_http2: bool | None = None
        with trio.move_on_after(FIRST_BYTES_SECONDS_MAX):
            while speaks_http2 is None:
                more = await self._transport.receive()
                if not more:
                    return
                data += more
                speaks_http2 = looks_like_http2(data)
        if speaks_http2 is None:
            return
        grpc, http1 = self._protocols
        if speaks_http2 and grpc is not None:
            self.served = GrpcConnection(self._transport, grpc)
        elif not speaks_http2 and http1 is not None:
            self.served = http1(self._transport)
        if self.served is not None:
            await self.served.run(data)

    def cleanup(self) -> None:
        self._transport.close()
        if self.served is None:
            log.debug("client connection closed before it said anything", peer=self._transport.peer)
        else:
            log.debug("client connection closed", peer=self._transport.peer)


def _connections_max() -> int:
    """So many that descriptors are left for the files of the node."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, limit - DESCRIPTORS_RESERVED))


def _page(node: NodeContext, root: Callable[[], Supervisor]) -> Callable[[], Ui] | None:
    """What makes the page at `/ui` when it is first asked for; None: there is none."""

    @cache
    def page() -> Ui:
        from .ui.endpoints import Ui

        return Ui(node, node.config.ui, root)

    return None if node.config.ui == OFF else page


class ClientListener(Supervisor):
    """Serves bound sockets from its start on, and drains the connections when it is stopped."""

    def __init__(
        self,
        node: NodeContext,
        dispatcher: Dispatcher,
        outbox: Outbox,
        pages: Pages,
        bound: Sequence[Bound],
        http: Sequence[Bound] = (),
        metrics: Sequence[Bound] = (),
        *,
        root: Callable[[], Supervisor] | None = None,
    ) -> None:
        super().__init__("clients")
        config = node.config
        message_bytes_max = config.max_request_bytes + GRPC_OVERHEAD_BYTES
        access = Access(config.cors, config.host_whitelist)

        ui = _page(node, root or (lambda: self))

        @cache
        def http2_pages() -> Http2Pages:
            from .http2_pages import Http2Pages

            return Http2Pages(
                pages,
                dispatcher,
                outbox,
                gateway_enabled=config.enable_grpc_gateway,
                grpc_only=bool(http),
                access=access,
                ui=ui,
            )

        def http1(transport: Transport, *, gateway: bool, ui: Any = ui) -> Http1Connection:
            from .http1 import Http1Connection, Http1Settings

            settings = Http1Settings(
                pages,
                dispatcher,
                outbox,
                gateway_enabled=gateway,
                message_bytes_max=message_bytes_max,
                access=access,
                ui=ui,
            )
            return Http1Connection(transport, settings)

        grpc = GrpcSettings(
            dispatcher,
            outbox,
            node.world.clock,
            http2_pages,
            message_bytes_max=message_bytes_max,
            concurrent_streams_max=config.max_concurrent_streams,
            ping_interval_seconds_min=config.grpc_keepalive_min_time,
            keepalive_interval_seconds=config.grpc_keepalive_interval,
            keepalive_timeout_seconds=config.grpc_keepalive_timeout,
        )
        gateway = partial(http1, gateway=config.enable_grpc_gateway)
        plain = partial(http1, gateway=False, ui=None)
        self._clients = Protocols(grpc, None if http else gateway)
        self._others = [
            ("serving client traffic over HTTP only", http, Protocols(None, gateway)),
            ("serving metrics and health", metrics, Protocols(None, plain)),
        ]
        self._numbers = itertools.count(1)
        self.bound = bound
        self.connections_max = _connections_max()
        self.connections_refused = 0

    @property
    def ports(self) -> Sequence[int]:
        """The ports that clients can connect to, in the order of `listen-client-urls`."""
        return [one.port for one in self.bound]

    async def started(self) -> None:
        await super().started()
        for one in self.bound:
            self.nursery.start_soon(serve, one, self.accept)
            log.info("serving client traffic", url=one.url, port=one.port)
        for message, bound, protocols in self._others:
            for one in bound:
                self.nursery.start_soon(serve, one, partial(self.accept, protocols=protocols))
                log.info(message, url=one.url, port=one.port)

    def accept(self, transport: Transport, protocols: Protocols | None = None) -> None:
        """Serve a connection; any transport will do."""
        if len(self._cells) >= self.connections_max:
            if not self.connections_refused:
                log.warning("too many connections: refused", connections=self.connections_max)
            self.connections_refused += 1
            transport.close()
            return
        name = f"connection-{next(self._numbers)} {transport.peer}"
        try:
            self.start_child_nowait(ConnectionActor(name, transport, protocols or self._clients))
        except ActorStopped:
            transport.close()

    async def stopping(self) -> None:
        self.close()
        connections = [child for child in self.children if isinstance(child, ConnectionActor)]
        for connection in connections:
            if connection.served is not None:
                connection.served.shut_down()
        with trio.move_on_after(DRAIN_SECONDS_MAX):
            while any(c.served is not None and not c.served.idle for c in connections):  # noqa: ASYNC110
                await trio.sleep(DRAIN_POLL_SECONDS)  # an event for each would serve only this line
        await super().stopping()

    def close(self) -> None:
        """Stop listening."""
        for bound in (self.bound, *(others for _, others, _ in self._others)):
            for one in bound:
                one.close()
