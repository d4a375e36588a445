"""Plain HTTP requests over both versions, by foreign clients: http.client, and the h2 library."""

from __future__ import annotations

import http.client
import json
import socket
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import attrs
import h2.connection
import h2.events

SECONDS_MAX = 10.0


@attrs.frozen
class Reply:
    """A whole reply; the names of its headers are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def http1(
    port: int,
    verb: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
) -> Reply:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS_MAX)
    try:
        connection.request(verb, path, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, answer.read())
    finally:
        connection.close()


def http2(
    port: int,
    verb: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """The same with prior knowledge, as `curl --http2-prior-knowledge` does."""
    codec = h2.connection.H2Connection()
    given = {name.lower(): value for name, value in (headers or {}).items()}
    authority = given.pop("host", f"127.0.0.1:{port}")
    fields = [(":method", verb), (":path", path), (":scheme", "http"), (":authority", authority)]
    status, found, received = 0, {}, b""
    with socket.create_connection(("127.0.0.1", port), SECONDS_MAX) as sock:
        codec.initiate_connection()
        codec.send_headers(1, [*fields, *given.items()], end_stream=not body)
        if body:
            codec.send_data(1, body, end_stream=True)
        while True:
            sock.sendall(codec.data_to_send())
            data = sock.recv(65536)
            assert data, "the server closed the connection"
            for event in codec.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    texts = [(_text(name), _text(value)) for name, value in event.headers]
                    found = dict(texts)
                    status = int(found.pop(":status"))
                elif isinstance(event, h2.events.DataReceived):
                    received += event.data
                    codec.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, h2.events.StreamEnded):
                    return Reply(status, found, received)
                elif isinstance(event, h2.events.StreamReset):
                    raise AssertionError(f"the stream was reset: {event.error_code}")


def _text(field: bytes | str) -> str:
    return field.decode() if isinstance(field, bytes) else field


def b64(data: bytes | str) -> str:
    """As the gateway writes bytes."""
    return b64encode(data.encode() if isinstance(data, str) else data).decode()


class Api:
    """The JSON gateway of a server, for preparing what a page then shows."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self.host = host

    def call(self, path: str, body: Any) -> Any:
        """An RPC: `call("kv/range", {...})`."""
        reply = http1(self.port, "POST", f"/v3/{path}", json.dumps(body).encode(), host=self.host)
        assert reply.status == 200, reply.body
        return reply.json

    def put(self, key: bytes | str, value: bytes | str, **more: Any) -> int:
        """Put, and return the revision."""
        answer = self.call("kv/put", {"key": b64(key), "value": b64(value), **more})
        return int(answer["header"]["revision"])

    def get(self, key: bytes | str) -> bytes | None:
        import base64

        answer = self.call("kv/range", {"key": b64(key)})
        return base64.b64decode(answer["kvs"][0].get("value", "")) if "kvs" in answer else None

    def delete(self, key: bytes | str) -> None:
        self.call("kv/deleterange", {"key": b64(key)})

    def grant(self, ttl: int, lease_id: int = 0) -> str:
        """Grant a lease; returns its ID in decimal."""
        answer = self.call("lease/grant", {"TTL": str(ttl), "ID": str(lease_id)})
        return str(answer["ID"])
