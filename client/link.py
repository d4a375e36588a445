"""The way to one endpoint: dials, and dials again when the connection is over, with back-off.

A connection that drains keeps its calls and is replaced at once, so that a server which goes away politely fails no
call.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
from collections.abc import Callable
from typing import Final

import trio

from .connection import Connection, ConnectionOptions
from .endpoints import NO_NAME, Endpoint
from .retry import backoff_seconds
from .tls import TlsRefused, TlsWire, handshake, plain_socket

__all__ = ["Link"]

STEADY_SECONDS: Final = 1.0
"""A connection that was over earlier counts as a failure: some servers greet, and close, each time."""


class Link:
    """Keeps one endpoint connected.

    Args:
        endpoint: where to.
        context: for TLS; None: plain.
        options: how connections behave.
        nursery: where connections run.
        on_change: called when `connection` or `trouble` has changed.

    Attributes:
        connection: takes calls; None while there is none.
        trouble: what was wrong last, "" when nothing was.
        refused: the trouble is one that trying again does not cure.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        context: ssl.SSLContext | None,
        server_name: str | None,
        options: ConnectionOptions,
        nursery: trio.Nursery,
        on_change: Callable[[Link, Connection | None], None],
    ) -> None:
        self.endpoint = endpoint
        self._context = context
        self._server_name = server_name or endpoint.server_name
        self._options = options
        self._nursery = nursery
        self._on_change = on_change
        self._scope = trio.CancelScope()
        self._stopped = False
        self.connection: Connection | None = None
        self.trouble = ""
        self.refused = False
        self._trusted = False
        nursery.start_soon(self._run)

    def stop(self) -> None:
        """Dial no more; calls under way on the connection finish."""
        self._stopped = True
        self._scope.cancel()
        if self.connection is not None:
            self.connection.retire()

    async def _run(self) -> None:
        with self._scope:
            failures = 0
            while not self._stopped:
                connection = await self._dial()
                if connection is None:
                    failures += 1
                    self._on_change(self, None)
                    await trio.sleep(backoff_seconds(failures, random.random))
                    continue
                self.trouble, self.refused, self._trusted = "", False, True
                since = trio.current_time()
                self.connection = connection
                self._on_change(self, None)
                await connection.retired.wait()
                drains = connection.served and not connection.over
                self._gone(connection)
                if drains or trio.current_time() - since >= STEADY_SECONDS:
                    failures = 0
                    continue
                failures += 1
                await trio.sleep(backoff_seconds(failures, random.random))
        if self.connection is not None:
            self._gone(self.connection)

    def _gone(self, connection: Connection) -> None:
        self.connection = None
        self.trouble = connection.reason
        self._on_change(self, connection)

    async def _dial(self) -> Connection | None:
        """A connection whose server has answered; None: `trouble` says why not."""
        limit = self._options.dial_timeout or float("inf")
        self.trouble = self.trouble or f"no answer within {limit:g} s"
        with trio.move_on_after(limit) as scope:
            try:
                return await self._connect()
            except TlsRefused as error:
                # Once there was trust, this may pass: a balancer ends handshakes while its server restarts.
                self.trouble, self.refused = str(error), not self._trusted
            except (OSError, trio.BrokenResourceError) as error:
                self.trouble, self.refused = _words(error), False
            except UnicodeError:  # of the look-up: a label that is empty or too long
                self.trouble, self.refused = NO_NAME, False
        if scope.cancelled_caught:
            self.trouble, self.refused = f"no answer within {limit:g} s", False
        return None

    async def _connect(self) -> Connection | None:
        endpoint, wire = self.endpoint, None
        if endpoint.path:
            stream = await trio.open_unix_socket(endpoint.path)
        else:
            stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        try:
            if self._context is not None:
                wire = await handshake(stream, self._context, self._server_name)
            sock = plain_socket(stream)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return await self._greet(sock, wire)

    async def _greet(self, sock: socket.socket, wire: TlsWire | None) -> Connection | None:
        """Wait until the server has shown that it speaks HTTP/2."""
        connection = Connection(
            sock, wire, self.endpoint.authority, self.endpoint.text, self._options
        )
        self._nursery.start_soon(connection.run)
        try:
            await connection.ready.wait()
        except trio.Cancelled:
            connection.retire()
            raise
        if connection.over:
            self.trouble, self.refused = connection.reason, connection.refused
            return None
        return connection


def _words(error: BaseException) -> str:
    """What is wrong, in words: what several addresses of a host said is told together."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        return ", ".join(sorted({_words(one) for one in cause.exceptions}))
    if isinstance(cause, OSError):
        return _words(cause)
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno).lower()
    return getattr(error, "strerror", None) or str(error) or "the connection broke"
