"""Flow control, the receiving side (RFC 9113 sections 5.2 and 6.9).

Theory. Only DATA is flow controlled. Every byte of its payload, padding included, is charged twice: to
the stream's window and to the connection's. A window is a promise by the receiver: "so much I will take
without further notice". WINDOW_UPDATE raises it; SETTINGS_INITIAL_WINDOW_SIZE moves all stream windows by
the difference, so that a sender's window can even become negative; the connection's window is moved by
WINDOW_UPDATE only. A window above 2**31 - 1 is a fault.

What we promise, and when we renew it:

* The connection's credit is renewed as soon as bytes are parsed, whoever they are for. If it waited
  for consumers, one slow stream would stop all others on the connection (head-of-line blocking). An owner who can
  take no more from anybody withholds it (`withhold`): control frames, the peer's credit for us among them, still come.
* A stream's credit is renewed when its bytes are *consumed*. In the automatic mode that is when they are
  parsed; else the consumer says so with `Connection.consume`. A consumer that is slow then stops
  its own stream, after at most `stream_window_bytes`, and no other.
* So what a peer can make us hold is streams x stream_window_bytes for manual streams, and
  `collected_bytes_max` for bodies that are being collected, whose credit is given in turn (`bodies.py`).
* Renewals are batched: WINDOW_UPDATE goes out once half the window is used, so a stream of small
  messages does not cost one frame per message, and the sender never sees less than half a window.
* A stream whose sender has finished needs no credit, so a unary call costs no stream update at all.

The sending side, where the peer's promises are spent, is `sending.py`.
"""

from __future__ import annotations

from .errors import ConnectionFault, ErrorCode, StreamFault
from .frames import DEFAULT_WINDOW_BYTES, window_update
from .limits import Limits
from .streams import Stream

__all__ = ["ReceiveWindows"]


class ReceiveWindows:
    """What we have promised the peer, for the connection and for new streams."""

    __slots__ = ("_connection_bytes", "_limit", "_withheld", "connection", "initial")

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.stream_window_bytes
        # Until the peer has acknowledged our SETTINGS it may rely on the RFC's default.
        self.initial = max(self._limit, DEFAULT_WINDOW_BYTES)
        self._connection_bytes = max(limits.connection_window_bytes, DEFAULT_WINDOW_BYTES)
        self.connection = DEFAULT_WINDOW_BYTES
        """Bytes the peer may still send on all streams together."""
        self._withheld = False

    def opening(self) -> bytes:
        """The WINDOW_UPDATE that follows our first SETTINGS, if any."""
        return self._renew_connection() if self.connection < self._connection_bytes else b""

    def acknowledged(self, streams: dict[int, Stream]) -> list[bytes]:
        """The peer has applied our SETTINGS; the renewals to send.

        Of a smaller window more than half may have been used already: the peer could wait for credit that nothing
        else would renew.
        """
        delta = self._limit - self.initial
        if not delta:
            return []
        self.initial = self._limit
        for stream in streams.values():
            stream.recv_window += delta
        return [renewal for stream in streams.values() if (renewal := self.consumed(stream, 0))]

    def received(self, length: int) -> bytes:
        """Charge the connection; the renewal to send, if due. Raises ConnectionFault."""
        self.connection -= length
        if self.connection < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "connection window exceeded")
        return self._renewal()

    def withhold(self) -> None:
        """Renew the connection's credit no more."""
        self._withheld = True

    def renew(self) -> bytes:
        """Withhold it no more; the renewal to send, if due."""
        self._withheld = False
        return self._renewal()

    def _renewal(self) -> bytes:
        due = self.connection * 2 < self._connection_bytes and not self._withheld
        return self._renew_connection() if due else b""

    def _renew_connection(self) -> bytes:
        credit = self._connection_bytes - self.connection
        self.connection = self._connection_bytes
        return window_update(0, credit)

    def stream_received(self, stream: Stream, length: int, consumed: int) -> bytes:
        """Charge a stream, of which `consumed` bytes are done with; the renewal to send, if due."""
        stream.recv_window -= length
        if stream.recv_window < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "stream window exceeded")
        return self.consumed(stream, consumed)

    def consumed(self, stream: Stream, length: int) -> bytes:
        """Return credit for `length` bytes of a stream; the renewal to send, if due."""
        stream.owed += length
        if stream.remote_closed or stream.owed * 2 < self.initial or not stream.owed:
            return b""
        credit = stream.owed
        stream.owed = 0
        stream.recv_window += credit
        return window_update(stream.id, credit)
