"""h2spec, the conformance suite for HTTP/2 servers, where it is installed.

go install github.com/summerwind/h2spec/cmd/h2spec@latest
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from triode.rpc.grpc import GrpcServer, HttpRequest, Limits


def serve(connection: socket.socket) -> None:
    """A page of text for every request."""
    limits = Limits(concurrent_streams_max=100)
    server = GrpcServer(is_unary=set(), http=True, clock=time.monotonic, limits=limits)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(server.data_to_send())
        while not server.closed and (data := connection.recv(65536)):
            for event in server.receive(data):
                if isinstance(event, HttpRequest):
                    server.respond_http(event.stream_id, 200, (), b"a page of text\n" * 10)
            connection.sendall(server.data_to_send())


def accept(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def test_h2spec() -> None:
    if shutil.which("h2spec") is None:
        pytest.skip("h2spec is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        port = str(listener.getsockname()[1])
        done = subprocess.run(
            ["h2spec", "-h", "127.0.0.1", "-p", port], capture_output=True, text=True, timeout=100
        )
        listener.shutdown(socket.SHUT_RDWR)
    assert re.search(r"\d+ tests, \d+ passed, \d+ skipped, 0 failed", done.stdout), done.stdout
