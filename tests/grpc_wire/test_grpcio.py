"""grpcio, the official implementation, as a foreign client and as a foreign server, over loopback."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from triode.errors import Code
from triode.rpc.grpc import GrpcClient, GrpcServer, KeepaliveEnforcer, events
from triode.rpc.grpc.client import Draining, Finished, Headers, Message

UNARY, COUNT, ECHO = "/test.T/Unary", "/test.T/Count", "/test.T/Echo"
SLOW, FAIL = "/test.T/Slow", "/test.T/Fail"
TEXT = "etcdserver: 100% schön \U0001f600\n"


# --- our server -------------------------------------------------------------------------------


class Service:
    """An accept loop and one thread per connection around `GrpcServer`."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.cancelled: queue.Queue[int] = queue.Queue()
        self.timeouts: queue.Queue[int | None] = queue.Queue()
        self.sessions: list[GrpcServer] = []
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.serve, args=(connection,)))
            self.threads[-1].start()

    def serve(self, connection: socket.socket) -> None:
        server = GrpcServer(
            is_unary={UNARY, SLOW, FAIL},
            message_bytes_max=8 << 20,
            clock=time.monotonic,
            keepalive=KeepaliveEnforcer(),
        )
        self.sessions.append(server)
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(server.data_to_send())
            while not server.closed and (data := connection.recv(65536)):
                for event in server.receive(data):
                    self.handle(server, event)
                connection.sendall(server.data_to_send())

    def handle(self, server: GrpcServer, event: events.ServerEvent) -> None:
        if isinstance(event, events.Request):
            self.timeouts.put(event.head.timeout_ns)
            if event.head.path == UNARY:
                metadata = {
                    name: value for name, value in event.head.metadata.items() if "x-" in name
                }
                if metadata:
                    server.send_headers(event.stream_id, metadata)
                    server.send_message(event.stream_id, event.message)
                    server.finish(event.stream_id, 0, "", metadata)
                else:
                    server.respond(event.stream_id, event.message)
            elif event.head.path == FAIL:
                server.fail(event.stream_id, Code.NOT_FOUND, TEXT)
        elif isinstance(event, events.CallStarted):
            if event.head.path not in (COUNT, ECHO):
                server.fail(event.stream_id, Code.UNIMPLEMENTED, "unknown service test.X")
            elif event.head.path == COUNT:
                for at in range(1000):
                    server.send_message(event.stream_id, b"%d" % at)
                server.finish(event.stream_id)
        elif isinstance(event, events.Message):
            server.send_message(event.stream_id, event.data)
        elif isinstance(event, events.HalfClosed):
            server.finish(event.stream_id)
        elif isinstance(event, events.Cancelled):
            self.cancelled.put(event.stream_id)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def channel(service: Service) -> Iterator[grpc.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(service.address, options=options) as channel:
        yield channel


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 5_000_000])
def test_unary_of_every_size(channel: grpc.Channel, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert channel.unary_unary(UNARY)(body) == body


def test_many_unary_calls_side_by_side(channel: grpc.Channel) -> None:
    call = channel.unary_unary(UNARY)
    futures = [call.future(b"%d" % at, timeout=30 + at / 1000) for at in range(300)]
    assert [future.result() for future in futures] == [b"%d" % at for at in range(300)]


def test_server_streaming(channel: grpc.Channel) -> None:
    got = list(channel.unary_stream(COUNT)(b""))
    assert got == [b"%d" % at for at in range(1000)]


def test_bidirectional(channel: grpc.Channel) -> None:
    outgoing: queue.Queue[bytes | None] = queue.Queue()
    call = channel.stream_stream(ECHO)(iter(outgoing.get, None))
    for body in (b"a", b"", bytes(300_000), b"z"):
        outgoing.put(body)
        assert next(call) == body
    outgoing.put(None)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def test_metadata_both_ways(channel: grpc.Channel) -> None:
    sent = (("x-text", "hello, world"), ("x-data-bin", b"\0\1\xff"), ("x-empty-bin", b""))
    answer, call = channel.unary_unary(UNARY).with_call(b"m", metadata=sent)
    assert answer == b"m"
    for received in (call.initial_metadata(), call.trailing_metadata()):
        assert dict(sent).items() <= dict(received).items()


def test_status_with_unicode_text(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(FAIL)(b"")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == TEXT


def test_unknown_methods(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.X/Y")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_deadline_and_cancel_reach_the_server(channel: grpc.Channel, service: Service) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(SLOW)(b"", timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    timeout_ns = service.timeouts.get(timeout=10)
    assert timeout_ns is not None
    assert 0 < timeout_ns <= 200_000_000
    assert service.cancelled.get(timeout=10) == 1
    future = channel.unary_unary(SLOW).future(b"")
    assert service.timeouts.get(timeout=10) is None
    future.cancel()
    assert service.cancelled.get(timeout=10) == 3


def test_a_message_above_the_limit(channel: grpc.Channel) -> None:
    for call in (
        channel.unary_unary(UNARY),
        lambda body: list(channel.stream_stream(ECHO)(iter([body]))),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(8_400_000 + 1000))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (
            caught.value.details() == "grpc: received message larger than max (8401000 vs. 8388608)"
        )


def test_compressed_messages_are_refused(service: Service) -> None:
    with grpc.insecure_channel(service.address, compression=grpc.Compression.Gzip) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(UNARY)(bytes(10_000))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_graceful_shutdown(channel: grpc.Channel, service: Service) -> None:
    outgoing: queue.Queue[bytes | None] = queue.Queue()
    call = channel.stream_stream(ECHO)(iter(outgoing.get, None))
    outgoing.put(b"a")
    assert next(call) == b"a"
    service.sessions[0].shutdown()
    outgoing.put(b"b")  # makes the pump turn
    assert next(call) == b"b"
    assert channel.unary_unary(UNARY)(b"elsewhere", wait_for_ready=True) == b"elsewhere"
    assert len(service.sessions) == 2, "the new call went over a new connection"
    outgoing.put(None)
    assert list(call) == []


# --- our client -------------------------------------------------------------------------------


class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The same service, served by grpcio."""

    def service(self, details: Any) -> Any:
        if details.method == UNARY:
            return grpc.unary_unary_rpc_method_handler(self.unary)
        if details.method == ECHO:
            return grpc.stream_stream_rpc_method_handler(lambda bodies, _: bodies)
        if details.method == COUNT:
            return grpc.unary_stream_rpc_method_handler(
                lambda _body, _context: (b"%d" % at for at in range(1000))
            )
        if details.method == FAIL:
            return grpc.unary_unary_rpc_method_handler(self.fail)
        if details.method == SLOW:
            return grpc.unary_unary_rpc_method_handler(self.slow)
        return None

    def __init__(self) -> None:
        self.begun: dict[bytes, threading.Event] = {
            b"1": threading.Event(),
            b"2": threading.Event(),
        }
        self.ended = {body: threading.Event() for body in self.begun}

    def unary(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = [(name, value) for name, value in context.invocation_metadata() if "x-" in name]
        context.send_initial_metadata(metadata)
        context.set_trailing_metadata(metadata)
        return body

    def fail(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, TEXT)
        return body

    def slow(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.ended[body].set)
        self.begun[body].set()
        self.ended[body].wait(20)
        return body


class Line:
    """A blocking socket around `GrpcClient`."""

    def __init__(self, port: int) -> None:
        self.client = GrpcClient(authority=f"127.0.0.1:{port}")
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(20)

    def until(self, wanted: type, stream_id: int = 0) -> list[Any]:
        """Carry bytes until an event of this type comes (for this call)."""
        seen: list[Any] = []
        while True:
            self.socket.sendall(self.client.data_to_send())
            data = self.socket.recv(65536)
            new = self.client.receive(data) if data else self.client.lost("end of file")
            seen += new
            for event in new:
                if isinstance(event, wanted) and stream_id in (0, getattr(event, "stream_id", 0)):
                    return seen
            assert data, seen


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def foreign(handler: Handler) -> Iterator[tuple[grpc.Server, Line]]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(4), handlers=(handler,), options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    line = Line(port)
    yield server, line
    line.socket.close()
    for ended in handler.ended.values():
        ended.set()
    server.stop(None).wait(10)


@pytest.fixture
def line(foreign: tuple[grpc.Server, Line]) -> Line:
    return foreign[1]


@pytest.mark.parametrize("size", [0, 16_384, 5_000_000])
def test_client_unary(line: Line, size: int) -> None:
    metadata: dict[str, str | bytes] = {"x-text": "hello", "x-data-bin": b"\0\xff"}
    body = bytes(size)
    call = line.client.call(UNARY, body, metadata=metadata, timeout_ns=20 * 10**9)
    headers, message, end = [
        event for event in line.until(Finished) if isinstance(event, Headers | Message | Finished)
    ]
    assert isinstance(headers, Headers)
    assert metadata.items() <= headers.metadata.items()
    assert message == Message(call, body)
    assert isinstance(end, Finished)
    assert (end.code, end.text) == (Code.OK, "")
    assert metadata.items() <= end.metadata.items()
    assert line.client.open_calls == 0


def test_client_streams(line: Line) -> None:
    line.client.call(COUNT, b"")
    got = [event.data for event in line.until(Finished) if isinstance(event, Message)]
    assert got == [b"%d" % at for at in range(1000)]
    call = line.client.start_call(ECHO)
    for body in (b"a", b"", bytes(300_000)):
        line.client.send_message(call, body)
        (message,) = [event for event in line.until(Message) if isinstance(event, Message)]
        assert message.data == body
    line.client.half_close(call)
    assert line.until(Finished)[-1] == Finished(call, 0, "", {}, True)


def test_client_reads_status(line: Line) -> None:
    line.client.call(FAIL, b"")
    end = line.until(Finished)[-1]
    assert (end.code, end.text) == (Code.NOT_FOUND, TEXT)
    line.client.call("/test.X/Y", b"")
    assert line.until(Finished)[-1].code == Code.UNIMPLEMENTED


def test_client_deadline_and_cancel(line: Line, handler: Handler) -> None:
    line.client.call(SLOW, b"1", timeout_ns=200_000_000)
    end = line.until(Finished)[-1]
    assert end.code in (Code.DEADLINE_EXCEEDED, Code.CANCELED), "the server watches it too"
    call = line.client.call(SLOW, b"2")
    line.client.call(FAIL, b"")
    line.until(Finished)
    assert handler.begun[b"2"].wait(10), "a call that has not begun is dropped unseen"
    line.client.cancel(call)
    line.client.call(FAIL, b"")
    line.until(Finished)
    assert handler.ended[b"2"].wait(10), "the server's handler was told"


def test_client_and_a_server_that_stops(foreign: tuple[grpc.Server, Line]) -> None:
    server, line = foreign
    call = line.client.start_call(ECHO)
    line.client.send_message(call, b"a")
    line.until(Message)
    stopped = server.stop(grace=20)
    line.until(Draining)
    assert not line.client.can_start
    line.client.half_close(call)
    assert line.until(Finished)[-1].code == Code.OK
    line.client.shutdown()
    line.socket.close()
    assert stopped.wait(10)
