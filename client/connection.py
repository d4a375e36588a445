"""One HTTP/2 connection to one endpoint: a task that reads and a task that writes what could not go at once.

A call writes into the session and parks; the reader wakes it. The first call of an idle connection sends at once,
because nobody else will; when several are under way, the requests of one turn leave together, a few in one `send`,
and the writer sends the last of them.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import attrs
import trio

from ..errors import Code, EtcdError
from ..rpc.grpc.client import (
    Answered,
    ClientEvent,
    Draining,
    Finished,
    GrpcClient,
    Message,
    Writable,
)
from ..rpc.h2.limits import Limits
from .calls import LoneCall, StreamCall, UnaryCall
from .errors import CallFailed, ClientClosed, ConnectionLost, error_of, os_reason
from .reader import Reader
from .sleeper import Sleeper
from .tls import TlsWire

__all__ = ["Connection", "ConnectionOptions"]

UNSENT_BYTES_MAX: Final = 8 << 20
"""Bytes of requests that wait for the server's flow control; new calls wait beyond it."""
PIECES_MAX: Final = 16
"""What collects for one `send`, two pieces a call: with eight to go, the server can begin while the rest is written."""
REPLY_SECONDS: Final = 0.002
"""How long acknowledgements and credit wait for a request to go along with: grpc-go pings with every answer."""
LIMITS: Final = Limits(
    stream_window_bytes=4 << 20,
    connection_window_bytes=16 << 20,
    frame_bytes_max=1 << 20,
    # A server may ping as often as it likes: grpc-go measures the round trip with every answer.
    nuisance_burst=1 << 60,
)


@attrs.frozen(kw_only=True)
class ConnectionOptions:
    """How connections behave; see `connect`."""

    dial_timeout: float = 2.0
    keepalive_time: float = 10.0
    keepalive_timeout: float = 10.0
    permit_without_stream: bool = False
    max_send_bytes: int = 2 << 20
    max_receive_bytes: int = 2**31 - 1
    user_agent: str = "grpc-python-triode"


class Connection:
    """An open connection; `run` lives as long as it does.

    Args:
        sock: connected, not blocking.
        wire: the TLS layer after its handshake, or None.
        authority: the server's name and port.
        endpoint: as the user wrote it.

    Attributes:
        ready: set when the server has shown that it speaks HTTP/2, or the connection is over.
        usable: new calls can be made here.
        retired: set when they cannot any more: it drains, or is over.
        reason: why it is over.
        refused: it is over because one side does not trust the other.
    """

    def __init__(
        self,
        sock: socket.socket,
        wire: TlsWire | None,
        authority: str,
        endpoint: str,
        options: ConnectionOptions,
    ) -> None:
        self._sock = sock
        self._wire = wire
        self.endpoint = endpoint
        self._options = options
        self.message_bytes_max = options.max_send_bytes
        self.session = GrpcClient(
            authority=authority,
            scheme="https" if wire else "http",
            user_agent=options.user_agent,
            limits=LIMITS,
            message_bytes_max=options.max_receive_bytes,
            answered=True,
        )
        self._calls: dict[int, UnaryCall | LoneCall | StreamCall] = {}
        self.ready = trio.Event()
        self.usable = True
        self.retired = trio.Event()
        self.over = False
        self.refused = False
        self.reason = ""
        self._broken = ""
        self._unsent: memoryview | None = None
        self._writer = Sleeper()
        self._reply_frames = 0
        self._napping = False
        self._room = trio.lowlevel.ParkingLot()
        self._waiting = 0  # for room; asked with each call, and a parking lot is slow to say
        self._reader = Reader(self, sock, wire)
        self.heard = False
        self._scope = trio.CancelScope()

    # --- calls ------------------------------------------------------------------------------------

    @property
    def served(self) -> bool:
        """A call has been made here."""
        return self.session.connection.next_stream_id > 1

    @property
    def busy(self) -> bool:
        """Calls are under way."""
        return bool(self._calls)

    async def unary(
        self,
        path: str,
        message: bytes,
        metadata: Mapping[str, str] | None,
        deadline: float = math.inf,
    ) -> bytes:
        """Make a unary call and return the encoded response; raises CallFailed.

        `deadline` is on Trio's clock: the server is told how much time is left when the call leaves.
        """
        if len(message) > self.message_bytes_max:  # before it waits: who gets room uses it
            raise self.too_large(message)
        session = self.session
        if not (self.usable and self._has_room()):
            await self._wait_room()
        left_ns = None if deadline == math.inf else _left_ns(deadline)
        stream_id = session.call(path, message, metadata=metadata, timeout_ns=left_ns)
        if self._waiting:
            self._offer_room()
        reader, calls = self._reader, self._calls
        if reader.resting and not calls:
            call = calls[stream_id] = LoneCall()
            self.flush()
            await reader.fetch(call, stream_id)
            return call.result()
        calls[stream_id] = UnaryCall(trio.lowlevel.current_task())
        if len(calls) == 1 or len(session.connection.outbox.frames) >= PIECES_MAX:
            self.flush()  # of one call nobody else will; else the writer collects what all leave
        elif self._writer.task is not None:
            self._writer.wake()

        def abort(_: object) -> trio.lowlevel.Abort:
            self.cancel(stream_id)
            return trio.lowlevel.Abort.SUCCEEDED

        response: bytes = await trio.lowlevel.wait_task_rescheduled(abort)
        return response

    async def open(self, path: str, metadata: Mapping[str, str] | None) -> StreamCall:
        """Start a streaming call; whoever opens it ends it with `cancel`. Raises CallFailed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if not (self.usable and self.session.can_start):
            await self._wait_room()
        stream_id = self.session.start_call(path, metadata=metadata)
        call = self._calls[stream_id] = StreamCall(self, stream_id)
        self._offer_room()
        self._reader.wake()
        self.send_soon()
        return call

    def cancel(self, stream_id: int) -> None:
        """Give a call up, if it is not over."""
        if self._calls.pop(stream_id, None) is not None:
            self.session.cancel(stream_id)
            self._after_call()
            self.send_soon()

    def too_large(self, message: bytes) -> CallFailed:
        """A message that is not sent: the server would refuse it."""
        most = self.message_bytes_max
        text = f"trying to send message larger than max ({len(message)} vs. {most})"
        return CallFailed(EtcdError(text, code=Code.RESOURCE_EXHAUSTED), processed=False)

    async def _wait_room(self) -> None:
        """Wait until a call may be made: the server bounds streams, and bytes."""
        while True:
            if not self.usable:
                raise CallFailed(ConnectionLost(self.reason or None), processed=False)
            if self._has_room():
                return
            self._waiting += 1
            try:
                await self._room.park()
            finally:
                self._waiting -= 1

    def _has_room(self) -> bool:
        return self.session.can_start and self.session.backlog_bytes_total <= UNSENT_BYTES_MAX

    def _offer_room(self) -> None:
        """Wake one who waits, if there is room: who takes it offers what is left to the next one."""
        if self._room and self._has_room():
            self._room.unpark()

    # --- out --------------------------------------------------------------------------------------

    def send_soon(self) -> None:
        """Have the writer send in the next turn."""
        self._writer.wake()

    def flush(self) -> None:
        """Write as much as the socket takes; the rest is the writer's."""
        if self._unsent is not None or self.over:
            return
        data = self.session.data_to_send()
        if not data:
            return
        if self._wire is not None:
            data = self._wire.encrypt(data)
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._break(os_reason(error))
            return
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self.send_soon()
        if self.session.closed:
            self._break("more was sent than the server takes")

    async def _write(self) -> None:
        """The writer: sends what collects, and what the socket did not take at once."""
        outbox = self.session.connection.outbox
        while True:
            if 0 < len(outbox.frames) <= self._reply_frames:  # no request has come since
                self._napping = True
                with trio.move_on_after(REPLY_SECONDS):
                    await self._writer.sleep()
                self._napping = False
            self._reply_frames = 0
            self.flush()
            while self._unsent is not None:
                await trio.lowlevel.wait_writable(self._sock)
                self._write_rest(self._unsent)
            if not outbox.frames or self.over:
                await self._writer.sleep()

    def _write_rest(self, rest: memoryview) -> None:
        try:
            sent = self._sock.send(rest)
        except BlockingIOError:
            return
        except OSError as error:
            self._unsent = None
            self._break(os_reason(error))
            return
        self._unsent = rest[sent:] if sent < len(rest) else None

    # --- in ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the connection is over; nothing is open afterwards."""
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    if self._options.keepalive_time > 0:
                        nursery.start_soon(self._keep_alive)
                    await self._reader.run()
            finally:
                self._close()

    def take(self, data: bytes) -> None:
        """Take bytes from the server."""
        self.heard = True
        session = self.session
        backlog_bytes = session.backlog_bytes_total
        self._handle(session.receive(data))
        if session.closed:
            what = "broke a rule of" if self.ready.is_set() else "does not speak"
            self._broken = f"the server {what} HTTP/2"
            self.flush()  # says so to the server
            self.end(self._broken)
            return
        connection = session.connection
        if not self.ready.is_set() and not connection._settings_due:
            self.ready.set()
        if self._waiting:
            self._offer_room()  # SETTINGS may have made some
        if connection.outbox.frames:
            if session.backlog_bytes_total < backlog_bytes:
                self.flush()  # requests that had waited for the server's credit
            elif self._writer.task is not None and not (self._napping or self._reader.looks):
                # It sleeps, so these frames are all replies; one that is awake sends them with what woke it.
                self._reply_frames = len(connection.outbox.frames)
                self.send_soon()

    def _handle(self, events: list[ClientEvent]) -> None:
        calls, reader = self._calls, self._reader
        for event in events:
            if type(event) is Answered:
                calls.pop(event.stream_id).answered(event.data)
                reader.lone = 0 if calls else reader.lone + 1
                if self._waiting or not self.usable:
                    self._after_call()
            elif type(event) is Message:
                calls[event.stream_id].message(event.data)
            elif isinstance(event, Finished):
                call = calls.pop(event.stream_id)
                if event.code:
                    call.finished(error_of(event.code, event.text), processed=event.processed)
                else:
                    call.finished(None, processed=True)
                self._after_call()
            elif isinstance(event, Writable):
                calls[event.stream_id].writable()
                self._room.unpark_all()
            elif isinstance(event, Draining):
                self._retire(event.text or "the server is going away")

    def _after_call(self) -> None:
        """A call is over: another one may have been waiting for its place."""
        if self._room:
            self._room.unpark()
        if not (self.usable or self._calls):
            self._scope.cancel()

    # --- life -------------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        """Ping a server that is silent while calls wait for it; end the connection when nothing comes back."""
        options = self._options
        while True:
            self.heard = False
            await trio.sleep(options.keepalive_time)
            if self.heard or not (self._calls or options.permit_without_stream):
                continue
            self.session.ping()
            self.send_soon()
            await trio.sleep(options.keepalive_timeout)
            if not self.heard:
                self.end(
                    f"the server has been silent for "
                    f"{options.keepalive_time + options.keepalive_timeout:g} s"
                )

    def _retire(self, reason: str) -> None:
        """Make no new calls here; those under way go on."""
        if self.usable:
            self.reason = reason
            self._take_no_more()
            self._room.unpark_all()
            if not self._calls:
                self._scope.cancel()

    def _take_no_more(self) -> None:
        self.usable = False
        self.retired.set()

    def retire(self) -> None:
        """Let the calls under way finish, then close."""
        self._retire("the endpoint is not used any more")

    def _break(self, reason: str) -> None:
        """Writing has failed. A caller may be about to park, so that `run` ends the calls."""
        self.reason = self._broken = self._broken or reason
        self._take_no_more()
        self._scope.cancel()

    def end(self, reason: str) -> None:
        """The connection is over: calls that wait are told. An empty reason: the client is closed."""
        if self.over:
            return
        self.over = True
        self.reason = reason or self.reason or ClientClosed.text
        self._take_no_more()
        self.ready.set()
        self._scope.cancel()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.finished(ConnectionLost(reason) if reason else ClientClosed(), processed=True)
        self._room.unpark_all()

    def _close(self) -> None:
        self.end(self._broken)
        self.session.terminate()
        self._unsent_goaway()
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    def _unsent_goaway(self) -> None:
        """Say goodbye if the socket takes it; nothing depends on it."""
        if self._unsent is None:
            data = self.session.data_to_send()
            with suppress(OSError):
                self._sock.send(self._wire.encrypt(data) if self._wire is not None else data)


def _left_ns(deadline: float) -> int | None:
    """What is left until `deadline`, as gRPC says it; None: all the time."""
    if math.isinf(deadline):  # -inf: the caller is cancelled already, and will learn of it
        return None
    return max(1, int((deadline - trio.current_time()) * 1e9))
