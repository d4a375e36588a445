"""The channel over sockets: which endpoint gets a call, and what happens when it fails.

Calls go to the connections that are ready, each in turn. One that has no connection waits for `dial_timeout` at
most, or until every endpoint has been refused for good. See `retry.py` for what is made again.
"""

from __future__ import annotations

import math
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ..errors import DeadlineExceeded, EtcdError, NoSpace
from ..rpc.methods import METHODS, Method
from .balancer import RoundRobin
from .calls import StreamCall
from .connection import Connection, ConnectionOptions
from .contract import ChannelStream, Metadata
from .credentials import AUTHENTICATE, Credentials, wants_login
from .endpoints import Endpoint, parse_endpoint
from .errors import CallFailed, ClientClosed, Unreachable, UntrustedServer
from .link import Link
from .retry import ATTEMPTS_MAX, Retries
from .tls import TLS

__all__ = ["SocketChannel"]

FULL_SECONDS = 10.0  # how long a member whose disk was full is asked only if there is no other
OUTSIDERS_MAX = 64
"""Endpoints that were asked for by name without being among the channel's, and are kept connected."""


class SocketChannel:
    """A `Channel` to endpoints of a cluster.

    Args:
        endpoints: as `connect` takes them.
        nursery: where connections live.
        tls: for https and unixs, and for endpoints that leave it open.
        options: how connections behave.
        attempts_max: how often one call is made at most.
    """

    def __init__(
        self,
        endpoints: tuple[str, ...],
        nursery: trio.Nursery,
        *,
        tls: TLS | None = None,
        options: ConnectionOptions | None = None,
        user: str | None = None,
        password: str = "",
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = tls.context() if tls is not None else None
        self._options = options or ConnectionOptions()
        self._nursery = nursery
        self._attempts_max = attempts_max
        self._given = endpoints
        self._endpoints = {text: parse_endpoint(text) for text in endpoints}
        self._links: dict[str, Link] = {}
        self._ready: RoundRobin[Connection] = RoundRobin()
        self._changed = trio.Event()
        self._closed = False
        self._credentials: Credentials | None = None
        if user:
            self._credentials = Credentials(user, password, self._authenticate)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that calls are spread over, as they were given."""
        return self._given

    def set_endpoints(self, endpoints: tuple[str, ...]) -> None:
        """Spread calls over these from now on; calls under way on others finish.

        Raises:
            EndpointError: one of them cannot be understood; then nothing has changed.
        """
        wanted = {text: parse_endpoint(text) for text in endpoints}
        started = any(text in self._links for text in self._endpoints)
        self._given = endpoints
        self._endpoints = wanted
        for text in [text for text in self._links if text not in wanted]:
            self._part(text)
        if started:
            self._start_links()
        self._notify()

    def close(self) -> None:
        """Make no more calls."""
        self._closed = True
        self._ready = RoundRobin()
        self._notify()

    async def login(self) -> None:
        """Log in now, not with the first call; without a user there is nothing to do. Raises EtcdError."""
        if self._credentials is not None:
            await self._log_in(self._credentials)

    async def _log_in(self, credentials: Credentials) -> str:
        """The token. Each call waits for a connection as long as it may; only then do they share a login."""
        await self._connected(None)
        return await credentials.login()

    # --- calls ------------------------------------------------------------------------------------

    async def unary(
        self,
        method: Method,
        request: bytes,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> bytes:
        """See `Channel`."""
        path = method.path
        retries: Retries | None = None
        logins = 0
        while True:
            token = None
            if self._credentials is not None and path != AUTHENTICATE:
                token = self._credentials.token
                if token is None:
                    token = await self._log_in(self._credentials)
            connection = self._ready.pick() if endpoint is None else None
            if connection is None:
                connection = await self._connected(endpoint)
            deadline = trio.current_effective_deadline()
            if deadline == -math.inf:  # cancelled, so that nobody waits for the answer
                await trio.lowlevel.checkpoint_if_cancelled()
            try:
                return await connection.unary(
                    path, request, _with_token(metadata, token) if token else metadata, deadline
                )
            except CallFailed as failure:
                error, processed = failure.error, failure.processed
            if isinstance(error, DeadlineExceeded) or error.status == DeadlineExceeded.code:
                await _reach(deadline)
            if self._credentials is not None and wants_login(error) and not logins:
                logins += 1
                self._credentials.forget(token)
                continue
            if isinstance(error, NoSpace) and endpoint is None and len(self._endpoints) > 1:
                self._avoid(connection)
            retries = retries or self._retries(path, endpoint)
            wait = retries.wait_seconds(error, processed=processed)
            if wait is None:
                raise error
            await trio.sleep(wait)

    @asynccontextmanager
    async def stream(
        self, method: Method, *, metadata: Metadata | None = None, endpoint: str | None = None
    ) -> AsyncIterator[ChannelStream]:
        """See `Channel`."""
        token = None
        if self._credentials is not None:
            token = self._credentials.token
            if token is None:
                token = await self._log_in(self._credentials)
        call, connection = await self._open(method, _with_token(metadata, token), endpoint)
        try:
            yield call
        except EtcdError as error:
            if self._credentials is not None and wants_login(error):
                self._credentials.forget(token)
            raise
        finally:
            connection.cancel(call.stream_id)

    async def _open(
        self, method: Method, metadata: Metadata | None, endpoint: str | None
    ) -> tuple[StreamCall, Connection]:
        retries = self._retries(method.path, endpoint)
        while True:
            connection = await self._connected(endpoint)
            try:
                return await connection.open(method.path, metadata), connection
            except CallFailed as failure:
                wait = retries.wait_seconds(failure.error, processed=failure.processed)
                if wait is None:
                    raise failure.error from None
            await trio.sleep(wait)

    async def _authenticate(self, request: bytes) -> bytes:
        return await self.unary(METHODS[AUTHENTICATE], request)

    def _retries(self, path: str, endpoint: str | None) -> Retries:
        endpoints = len(self._endpoints) if endpoint is None else 1
        return Retries(path, endpoints, random.random, self._attempts_max)

    def _avoid(self, connection: Connection) -> None:
        """Prefer the others for a while: this member's disk is full."""

        async def forgive() -> None:
            await trio.sleep(FULL_SECONDS)
            self._ready.forgive(connection)

        if self._ready.put_last(connection):
            self._nursery.start_soon(forgive)

    # --- connections ------------------------------------------------------------------------------

    async def _connected(self, endpoint: str | None) -> Connection:
        """A connection that takes calls; raises Unreachable or ClientClosed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        limit = self._options.dial_timeout or math.inf
        with trio.move_on_after(limit):
            while True:
                if self._closed:
                    raise ClientClosed
                links = self._start_links() if endpoint is None else [self._link(endpoint)]
                connection = self._ready.pick() if endpoint is None else links[0].connection
                if connection is not None and connection.usable:
                    return connection
                if links and all(link.refused for link in links):
                    break
                await self._changed.wait()
        links = self._start_links() if endpoint is None else [self._link(endpoint)]
        kind = UntrustedServer if links and all(link.refused for link in links) else Unreachable
        raise kind({link.endpoint.text: link.trouble or "no answer" for link in links})

    def _start_links(self) -> list[Link]:
        return [self._link(text) for text in self._endpoints]

    def _link(self, text: str) -> Link:
        link = self._links.get(text)
        if link is None:
            self._make_room()
            endpoint = self._endpoints.get(text) or parse_endpoint(text)
            link = self._links[text] = Link(
                endpoint,
                self._context_for(endpoint),
                self._tls.server_name if self._tls else None,
                self._options,
                self._nursery,
                self._on_change,
            )
        return link

    def _make_room(self) -> None:
        """Part with the oldest endpoint that is not among ours, when there are many."""
        outsiders = [text for text in self._links if text not in self._endpoints]
        if len(outsiders) >= OUTSIDERS_MAX:
            self._part(outsiders[0])

    def _part(self, text: str) -> None:
        """Make no more calls there."""
        link = self._links.pop(text)
        if link.connection is not None:
            self._ready.remove(link.connection)
        link.stop()

    def _context_for(self, endpoint: Endpoint) -> ssl.SSLContext | None:
        if not endpoint.wants_tls(self._tls is not None):
            return None
        if self._context is None:
            self._context = TLS().context()
        return self._context

    def _on_change(self, link: Link, gone: Connection | None) -> None:
        if gone is not None:
            self._ready.remove(gone)
        text = link.endpoint.text
        if (
            link.connection is not None
            and text in self._endpoints
            and self._links.get(text) is link
        ):
            self._ready.add(link.connection)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _with_token(metadata: Metadata | None, token: str | None) -> Metadata | None:
    if not token:
        return metadata
    return {**metadata, "token": token} if metadata else {"token": token}


async def _reach(deadline: float) -> None:
    """The server has watched our deadline, too, and was quicker: the caller's scope is about to be cancelled."""
    if deadline < math.inf:
        await trio.sleep_until(deadline)
        await trio.lowlevel.checkpoint()
