"""Who reads a connection's socket: a task of its own, or a caller that is alone.

One task at a time can wait for a socket. Usually it is the reader, which hands each answer to the task that waits for
it: two rounds of Trio's loop. Where calls come one after the other, the second round is a good part of what a call
costs, so after a few such calls the reader rests, and each caller fetches its answer itself.

- A call that comes while another one fetches parks as always, and is served by that one. If calls are left when it has
  its own answer, it wakes the reader, which goes back to the socket.
- Between two calls nobody reads. After `REST_SECONDS` the reader looks; when no call has been answered meanwhile, it
  goes back, too. What a server says unasked (GOAWAY, end of file) is noticed that much later, and not at all less.
- Acknowledgements that such a call has made necessary go along with the next one, or when the reader looks.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

import trio

from .errors import CLOSED_TEXT, os_reason
from .sleeper import Sleeper
from .tls import TlsWire, explain

if TYPE_CHECKING:
    from .calls import LoneCall
    from .connection import Connection

__all__ = ["Reader"]

READ_BYTES_MAX: Final = 65_536
LONE_CALLS_MIN: Final = 4
"""After so many calls in a row that were alone, callers fetch their answers themselves."""
REST_SECONDS: Final = 0.005
"""How long the reader leaves the socket to them before it looks whether they still come."""


class Reader:
    """Reads for a connection.

    Attributes:
        lone: calls in a row that were alone when they were answered.
        resting: the socket is left to callers.
        looks: the reader looks within `REST_SECONDS`, and sends what has collected.
    """

    def __init__(self, connection: Connection, sock: socket.socket, wire: TlsWire | None) -> None:
        self._connection = connection
        self._sock = sock
        self._wire = wire
        self.lone = 0
        self.resting = self.looks = False
        self._fetching = self._is_slow = False
        self._fetched = 0
        self._rests = Sleeper()

    async def run(self) -> None:
        """Read until the connection is over."""
        connection = self._connection
        if self._wire is not None:
            connection.take(self._wire.early())
        while not connection.over:
            if self.lone >= LONE_CALLS_MIN:
                await self._rest()
            await trio.lowlevel.wait_readable(self._sock)
            self._receive()

    async def fetch(self, call: LoneCall, stream_id: int) -> None:
        """Read until an answer has come, for a caller that is alone while the reader rests."""
        self._fetching = True
        try:
            while not call.over:
                try:
                    await trio.lowlevel.wait_readable(self._sock)
                except trio.ClosedResourceError:
                    break  # whoever has closed it has told the calls before
                self._receive()
        finally:
            if not call.over:
                self._connection.cancel(stream_id)
            self._fetching = False
            self._fetched += 1
            if self._is_slow or self._connection.busy:
                self.wake()

    def wake(self) -> None:
        """There are calls that nobody reads for: have the reader look."""
        self._rests.wake()

    async def _rest(self) -> None:
        """Leave the socket to callers until there are some that do not fetch, or none at all."""
        connection = self._connection
        self.resting = True
        while True:
            fetched = self._fetched
            self.looks = True
            with trio.move_on_after(REST_SECONDS):
                await self._rests.sleep()
            self.looks = False
            connection.flush()
            if self._fetching:
                if self._fetched == fetched:
                    self._is_slow = True
                    await self._rests.sleep()
                    self._is_slow = False
            elif connection.busy or self._fetched == fetched:
                break
        self.resting = False
        self.lone = 0

    def _receive(self) -> None:
        """Take what has come."""
        connection, wire = self._connection, self._wire
        try:
            data = self._sock.recv(READ_BYTES_MAX)
            if data and wire is not None:
                connection.heard = True
                data = wire.decrypt(data)
                if not data and not wire.ended:
                    return
        except BlockingIOError:
            return
        except ssl.SSLError as error:
            connection.refused = not connection.ready.is_set()
            connection.end(explain(error, connection.endpoint))
        except OSError as error:
            connection.end(os_reason(error))
        else:
            if data:
                connection.take(data)
            else:
                connection.end(CLOSED_TEXT)
