"""Settings of the listeners, seen from outside: who may call, over what, and who is given up."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, PingAckReceived, ResponseReceived

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING = 6
ENHANCE_YOUR_CALM = 11
ACK = 1


@pytest.fixture(scope="module")
def server(launch_triode_once: Callable[..., Any]) -> Any:
    """One with everything set."""
    return launch_triode_once(
        *("--listen-client-http-urls", "http://127.0.0.1:0"),
        *("--listen-metrics-urls", "http://127.0.0.1:0"),
        *("--cors", "https://good.example, https://other.example"),
        *("--host-whitelist", "127.0.0.1,db.example"),
        *("--grpc-keepalive-interval", "100ms", "--grpc-keepalive-timeout", "500ms"),
        *("--warning-unary-request-duration", "1ns"),
        backend="memory",
    )


def port_of(server: Any, message: str) -> int:
    found = [json.loads(line) for line in server.log().splitlines()]
    return int(next(line["port"] for line in found if line["msg"] == message))


def ask(
    port: int, verb: str, path: str, body: str = "", **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(verb, path, body, {k.title(): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers
    finally:
        connection.close()


@pytest.fixture
def http_port(server: Any) -> int:
    return port_of(server, "serving client traffic over HTTP only")


# --- what is served where -----------------------------------------------------------------------


def test_http_has_its_own_port(server: Any, http_port: int) -> None:
    """Then the client port speaks gRPC only, and the other HTTP only."""
    assert server.ctl("put", "a", "1").stdout == "OK\n"
    assert ask(http_port, "GET", "/version")[0] == 200
    status, body, _ = ask(http_port, "POST", "/v3/kv/range", '{"key": "YQ=="}')
    assert status == 200
    assert json.loads(body)["kvs"][0]["value"] == "MQ=="
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(server.port, "GET", "/version")
    assert list(frames(http_port, seconds=2)) == []


def test_metrics_have_their_own_port(server: Any) -> None:
    """Pages, but no data."""
    port = port_of(server, "serving metrics and health")
    assert ask(port, "GET", "/health")[:2] == (200, '{"health":"true","reason":""}')
    assert ask(port, "GET", "/livez")[0] == 200
    assert ask(port, "GET", "/readyz")[0] == 200
    assert ask(port, "GET", "/metrics")[0] == 200
    assert ask(port, "POST", "/v3/kv/range", '{"key": "YQ=="}')[0] == 404


@pytest.mark.parametrize(
    "url", ["http://[::1]:0", "http://localhost:0", "unix://{tmp}/triode.sock"]
)
def test_addresses(url: str, launch_triode: Callable[..., Any], tmp_path: Path) -> None:
    """IPv6, the name of this machine, and sockets in the file system, by way of etcdctl."""
    url = url.replace("{tmp}", str(tmp_path))
    server = launch_triode("--listen-client-urls", url, backend="memory")
    endpoint = url.removeprefix("http://").replace(":0", f":{server.port}")
    assert server.ctl("--endpoints", endpoint, "put", "a", "1").stdout == "OK\n"
    member = json.loads(server.ctl("--endpoints", endpoint, "member", "list", "-w", "json").stdout)
    assert member["members"][0]["clientURLs"] == [url.replace(":0", f":{server.port}")]
    assert server.stop() == 0
    assert not (tmp_path / "triode.sock").exists()


# --- who may call -------------------------------------------------------------------------------


def test_cors(http_port: int) -> None:
    """Pages of the listed origins may call; a preflight is answered without doing anything."""
    allowed = "Access-Control-Allow-Origin"
    for path in ("/version", "/v3/nothing"):
        _, _, headers = ask(http_port, "GET", path, origin="https://good.example")
        assert headers[allowed] == "https://good.example"
        assert ask(http_port, "GET", path, origin="https://bad.example")[2][allowed] is None
        assert ask(http_port, "GET", path)[2][allowed] is None
    status, body, headers = ask(
        http_port, "OPTIONS", "/v3/kv/put", "{}", origin="https://other.example"
    )
    assert (status, body) == (200, "")
    assert "POST" in headers["Access-Control-Allow-Methods"]
    stream = '{"create_request": {"key": "YQ==", "range_end": "YQ=="}}'
    connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=10)
    connection.request("POST", "/v3/watch", stream, {"Origin": "https://good.example"})
    assert connection.getresponse().headers[allowed] == "https://good.example"
    connection.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("db.example", 200), ("db.example:2379", 200), ("evil.example", 421)],
)
def test_host_whitelist(http_port: int, host: str, status: int) -> None:
    """A name that is not ours is refused, which stops DNS rebinding."""
    got, body, _ = ask(http_port, "GET", "/health", host=host)
    assert got == status
    assert (status == 200) == ("health" in body and "rebinding" not in body)


def ask_http2(port: int, path: str, authority: str, **headers: str) -> dict[str, str]:
    """The header of the answer to one GET over HTTP/2."""
    client = H2Connection(H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    head = {":method": "GET", ":scheme": "http", ":path": path, ":authority": authority}
    client.send_headers(1, list((head | headers).items()), end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(client.data_to_send())
        while True:
            for event in client.receive_data(sock.recv(65536)):
                if isinstance(event, ResponseReceived):
                    return {str(name): str(value) for name, value in event.headers}


def test_the_same_rules_over_http2(server: Any, launch_triode: Callable[..., Any]) -> None:
    """Browsers speak it as well."""
    assert ask_http2(server.port, "/health", "db.example")[":status"] == "404"  # gRPC only
    both = launch_triode(
        *("--host-whitelist", "db.example", "--cors", "https://good.example"), backend="memory"
    )
    assert ask_http2(both.port, "/health", "evil.example")[":status"] == "421"
    good = ask_http2(both.port, "/health", "db.example:1", origin="https://good.example")
    assert good[":status"] == "200"
    assert good["access-control-allow-origin"] == "https://good.example"
    bad = ask_http2(both.port, "/health", "db.example", origin="https://bad.example")
    assert "access-control-allow-origin" not in bad


# --- who is given up ----------------------------------------------------------------------------


def frames(port: int, *, answer_pings: int = 0, seconds: float = 10) -> Iterator[tuple[int, int]]:
    """The (type, flags) of what a server sends to a client that only opens a connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
        sock.sendall(PREFACE + b"\0\0\0\4\0\0\0\0\0")
        stream = sock.makefile("rb")
        while len(head := stream.read(9)) == 9:
            length = int.from_bytes(head[:3], "big")
            kind, flags = head[3], head[4]
            payload = stream.read(length)
            yield kind, flags
            if kind == PING and not flags & ACK and answer_pings:
                answer_pings -= 1
                sock.sendall(struct.pack(">HBBBI", 0, 8, PING, ACK, 0) + payload)


def test_a_client_that_answers_pings_is_kept(server: Any) -> None:
    """It is pinged when it is silent; the one that stops answering is given up."""
    kinds = [kind for kind, flags in frames(server.port, answer_pings=3) if not flags & ACK]
    assert kinds.count(PING) == 4


@pytest.mark.parametrize(("interval", "ended"), [("1h", True), ("1ns", False)])
def test_a_client_that_pings_often(
    interval: str, ended: bool, launch_triode: Callable[..., Any]
) -> None:
    """With a call open, the shortest interval counts; the third strike ends the connection."""
    server = launch_triode("--grpc-keepalive-min-time", interval, backend="memory")
    client = H2Connection(H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    head = {":method": "POST", ":scheme": "http", ":path": "/etcdserverpb.Watch/Watch"}
    head |= {":authority": "x", "content-type": "application/grpc", "te": "trailers"}
    client.send_headers(1, list(head.items()))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        events: list[Any] = []
        for number in range(6):
            client.ping(number.to_bytes(8, "big"))
            sock.sendall(client.data_to_send())
            while not any(isinstance(e, PingAckReceived | ConnectionTerminated) for e in events):
                events += client.receive_data(sock.recv(65536))
            if any(isinstance(event, ConnectionTerminated) for event in events):
                break
            events.clear()
    assert bool(events) == ended
    if ended:
        assert events[-1].error_code == ENHANCE_YOUR_CALM
        assert events[-1].additional_data == b"too_many_pings"


def test_slow_requests_are_logged(server: Any) -> None:
    """Here every request is slow."""
    server.ctl("put", "slow", "1")
    found = [json.loads(line) for line in server.log().splitlines()]
    slow = [line for line in found if line["msg"] == "request took too long"]
    puts = [line for line in slow if line["kind"] == "PutRequest"]
    assert puts[-1]["took-seconds"] >= 0


def test_defragmentation_at_start(launch_triode: Callable[..., Any]) -> None:
    """A start that can free a megabyte does."""
    server = launch_triode()
    for key in ("a", "ab"):
        server.ctl("put", key, input="x" * 1_200_000)
    server.ctl("del", "a", "--prefix")
    revision = json.loads(server.ctl("get", "a", "-w", "json").stdout)["header"]["revision"]
    server.ctl("compaction", str(revision), "--physical")
    server.stop()
    plain = launch_triode(data_dir=server.data_dir)
    assert "defragmented at start" not in plain.log()
    plain.stop()
    again = launch_triode("--bootstrap-defrag-threshold-megabytes", "1", data_dir=server.data_dir)
    found = [json.loads(line) for line in again.log().splitlines()]
    line = next(one for one in found if one["msg"] == "defragmented at start")
    assert line["after-bytes"] < line["before-bytes"] - 1_000_000
