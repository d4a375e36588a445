"""What a server's and a client's session have in common: bytes, credit, and the end.

Credit of a paused call: that of complete messages, which were handed to the user, is withheld until `resume`. That of
a message that is not complete yet is returned unless the user says otherwise, because a message larger than
the stream's window could otherwise never arrive.
"""

from __future__ import annotations

import attrs

from ..h2.connection import Connection
from ..h2.errors import ErrorCode
from ..h2.streams import Stream
from .framing import PREFIX_BYTES, Deframer

__all__ = ["Call", "Session", "SessionStatistics"]


class Call:
    """What the HTTP/2 stream does not know about its call."""

    __slots__ = ("answered", "deframer", "held_bytes", "holds_all", "over")

    def __init__(self, deframer: Deframer) -> None:
        self.deframer = deframer
        self.answered = False
        """The response's head has been sent (server) or received (client)."""
        self.over = False
        """The status is known: what still comes is dropped."""
        self.held_bytes = 0
        """Credit that waits for `resume`."""
        self.holds_all = False
        """While it is paused, the credit of incomplete messages is withheld, too."""


@attrs.frozen
class SessionStatistics:
    """A look at one connection."""

    open_calls: int
    peer_calls: int
    """Calls the peer has started since the connection began."""
    collected_bytes: int
    """Requests that are not complete yet."""
    backlog_bytes: int
    """Waits for the peer's flow control credit."""
    pending_bytes: int
    """Waits to be written."""
    send_window_bytes: int
    nuisances_left: int
    """Of the flood budget, before time and work refill it."""
    draining: bool
    closed: bool


class Session:
    """One HTTP/2 connection that carries gRPC calls."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._streams = connection.streams
        self._outbox = connection.outbox

    def data_to_send(self) -> bytes:
        """Everything to write now, in one piece; empty when there is nothing."""
        return self.connection.data_to_send()

    def _take(self, stream: Stream, call: Call, data: bytes) -> list[bytes]:
        """Cut body bytes into messages and settle their credit; raises MessageFault."""
        messages = call.deframer.feed(data)
        if not stream.auto_credit:
            size = sum(map(len, messages)) + PREFIX_BYTES * len(messages)
            held = len(data) if call.holds_all else min(len(data), size)
            call.held_bytes += held
            self.connection.consume(stream.id, len(data) - held)
        return messages

    # --- flow control -------------------------------------------------------------------------

    def backlog_bytes(self, stream_id: int) -> int:
        """Bytes of a call that wait for the peer's flow control credit."""
        stream = self._streams.get(stream_id)
        return stream.queued_bytes if stream is not None else 0

    @property
    def backlog_bytes_total(self) -> int:
        """Bytes of all calls that wait for the peer's flow control credit."""
        return self._outbox.backlog_bytes

    @property
    def pending_bytes(self) -> int:
        """Bytes that `data_to_send` would give: what to look at while the socket takes no more."""
        return self.connection.pending_bytes

    def pause(self, stream_id: int, *, whole: bool = False) -> None:
        """Withhold credit for the messages of a call whose consumer is slow, until `resume`.

        Args:
            stream_id: which call.
            whole: also for messages that are not complete yet. For a consumer that has complete ones to take, and
                resumes when it has taken them; one that waits for more would wait for ever.
        """
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.auto_credit = False
            if whole and stream.call is not None:
                stream.call.holds_all = True

    def resume(self, stream_id: int) -> None:
        """Return the credit that was withheld, and withhold no more."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.auto_credit:
            stream.auto_credit = True
            call: Call | None = stream.call
            if call is not None:
                held, call.held_bytes = call.held_bytes, 0
                self.connection.consume(stream_id, held)

    def withhold(self) -> None:
        """Give the peer no more credit for messages, of whatever call, until `grant`: it may send what it has."""
        self.connection.windows.withhold()

    def grant(self) -> None:
        """Give credit as it is used, again."""
        renewal = self.connection.windows.renew()
        if renewal and not self.connection.closed:
            self._outbox.frames.append(renewal)

    # --- the connection -----------------------------------------------------------------------

    @property
    def open_calls(self) -> int:
        return len(self._streams)

    def statistics(self) -> SessionStatistics:
        """How things stand now."""
        conn = self.connection
        return SessionStatistics(
            open_calls=len(self._streams),
            peer_calls=(conn.peer_stream_max + 1) >> 1,
            collected_bytes=conn.bodies.collected_bytes,
            backlog_bytes=self._outbox.backlog_bytes,
            pending_bytes=conn.pending_bytes,
            send_window_bytes=self._outbox.window,
            nuisances_left=int(conn.budget.tokens),
            draining=conn.draining,
            closed=conn.closed,
        )

    @property
    def closed(self) -> bool:
        """Nothing more is read: write what `data_to_send` gives, then close the socket."""
        return self.connection.closed

    @property
    def idle(self) -> bool:
        """No call is open and nothing waits to be written."""
        return self.connection.idle

    def shutdown(self) -> None:
        """Stop gracefully: no new calls; present ones finish, then `idle`."""
        self.connection.shutdown()

    def terminate(self, code: ErrorCode = ErrorCode.NO_ERROR, text: str = "") -> None:
        """Stop now: GOAWAY, all calls are dropped."""
        self.connection.terminate(code, text)

    def ping(self, data: bytes = bytes(8)) -> None:
        """Ask for a sign of life; any byte received afterwards is one."""
        self.connection.ping(data)
