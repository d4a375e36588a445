"""SIGTERM: what was answered is durable, what was not is told, and the daemon is gone within five seconds."""

from __future__ import annotations

import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from triode.rpc.methods import METHODS
from triode.rpc.pb.rpc_pb2 import LeaseGrantRequest, PutRequest, WatchCreateRequest, WatchRequest
from triode.rpc.pb.v3lock_pb2 import LockRequest, LockResponse

STOP_SECONDS_MAX = 5.0
TOLD = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def terminate(server: Any, *, again_seconds: float = STOP_SECONDS_MAX) -> None:
    """Send SIGTERM, and again after so many seconds; it must exit with 0, in time and quietly."""
    server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(again_seconds)
    except subprocess.TimeoutExpired:
        server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(STOP_SECONDS_MAX) == 0, server.log()
    assert "Traceback" not in server.log()
    assert '"msg":"stopped"' in server.log()


def test_terminate_under_load(
    launch_triode: Any,
    start_load: Any,
    connect: Any,
    ledger: Any,
    pause: Callable[[float], None],
) -> None:
    server = launch_triode()
    for turn in range(2):
        load = start_load(server.address, ledger, turn)
        pause(0.3)
        terminate(server)
        load.stop()
        assert load.codes <= TOLD
        server = launch_triode(data_dir=server.data_dir)
        ledger.check(connect(server.address))


@pytest.mark.parametrize("again_seconds", [0.0, 0.001, 0.02])
def test_second_signal_changes_nothing(
    launch_triode: Any,
    start_load: Any,
    connect: Any,
    ledger: Any,
    pause: Callable[[float], None],
    again_seconds: float,
) -> None:
    """Impatient supervisors send more than one."""
    server = launch_triode()
    load = start_load(server.address, ledger)
    pause(0.1)
    terminate(server, again_seconds=again_seconds)
    load.stop()
    server = launch_triode(data_dir=server.data_dir)
    ledger.check(connect(server.address))


class Opened:
    """A call in a thread of its own, and how it ended."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.messages: queue.Queue[Any] = queue.Queue()
        self.code: grpc.StatusCode | None = None
        self._read = read
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            for message in self._read():
                self.messages.put(message)
            self.code = grpc.StatusCode.OK
        except grpc.RpcError as error:
            self.code = error.code()


def test_terminate_with_everything_open(launch_triode: Any, connect: Any) -> None:
    """Idle watches, a waiter for a lock, and connections that say nothing or half of something."""
    server = launch_triode()
    client = connect(server.address)
    path = "/etcdserverpb.Watch/Watch"
    watch = client.channel.stream_stream(
        path, WatchRequest.SerializeToString, METHODS[path].response.FromString
    )
    requests: queue.Queue[Any] = queue.Queue()
    requests.put(WatchRequest(create_request=WatchCreateRequest(key=b"a")))
    watching = Opened(lambda: watch(iter(requests.get, None)))
    assert watching.messages.get(timeout=10).created
    lock = client.channel.unary_unary(
        "/v3lockpb.Lock/Lock", LockRequest.SerializeToString, LockResponse.FromString
    )
    leases = [client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=60)).ID for _ in range(2)]
    lock(LockRequest(name=b"l", lease=leases[0]))
    waiting = Opened(lambda: [lock(LockRequest(name=b"l", lease=leases[1]))])
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    for one, data in zip(
        sockets,
        (b"", PREFACE[:10], PREFACE, PREFACE + b"\0\0\10\1", b"POST /v3/kv/put HTTP/1.1\r\n"),
        strict=True,
    ):
        one.sendall(data)
    client.call("KV/Put", PutRequest(key=b"a"))
    assert watching.messages.get(timeout=10).events
    terminate(server)
    requests.put(None)
    for call in (watching, waiting):
        call.thread.join(10)
        assert call.code in TOLD
    for one in sockets:
        one.settimeout(10)
        while one.recv(4096):
            pass
        one.close()


def test_terminate_at_the_start(launch_triode: Any, tmp_path: Any) -> None:
    """As soon as it serves, it can be asked to stop; the next start finds all in order."""
    for _ in range(2):
        terminate(launch_triode(data_dir=tmp_path / "data"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_stop_gracefully(launch_triode: Any, number: signal.Signals) -> None:
    server = launch_triode(backend="memory")
    server.process.send_signal(number)
    assert server.process.wait(STOP_SECONDS_MAX) == 0
