"""Streams of the JSON gateway over HTTP/2: the request is whole, the answers are lines of JSON as they come.

A browser sends the body of a request before it reads the answer, so that everything it will ever say is here
when the stream begins. Over HTTP/1.1 a client may go on asking in the same request; here it may not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import EtcdError
from ..rpc import gateway
from ..rpc.grpc.server import GrpcServer
from ..rpc.h2.hpack_tables import Field
from ..rpc.methods import Method
from .call import Metadata
from .traffic import MethodCounter

if TYPE_CHECKING:
    from .connection import GrpcConnection

__all__ = ["Http2Stream", "JsonLines", "fields_of", "requests_of"]


class Http2Stream(NamedTuple):
    """A streaming call that a gateway request asks for."""

    method: Method
    requests: list[bytes]
    """All that the client says, encoded."""
    metadata: Metadata
    headers: list[tuple[str, str]]
    """What every reply carries for browsers."""


def requests_of(method: Method, body: bytes) -> list[bytes]:
    """The messages in a body; raises EtcdError."""
    if not method.client_streaming:
        return [gateway.decode_request(method.request, body).SerializeToString()]
    requests = gateway.RequestStream(method.request)
    found = [request.SerializeToString() for request in requests.feed(body)]
    requests.finish()
    return found


def fields_of(headers: list[tuple[str, str]]) -> tuple[Field, ...]:
    """Header fields as HTTP/2 has them."""
    return tuple((name.lower().encode(), value.encode()) for name, value in headers)


class JsonLines:
    """The `Outlet` of one such stream. The first thing that is sent decides about the status."""

    def __init__(
        self,
        connection: GrpcConnection,
        grpc: GrpcServer,
        stream_id: int,
        wanted: Http2Stream,
        counter: MethodCounter,
    ) -> None:
        self._connection = connection
        self._grpc = grpc
        self._stream_id = stream_id
        self._wanted = wanted
        self._counter = counter
        self._begun = False

    def send(self, message: bytes) -> None:
        """See `Outlet`."""
        self._counter.sent += 1
        try:
            line = gateway.encode_item(self._wanted.method.response, message)
            self._begin()
            self._grpc.send_http(self._stream_id, line)
        except Exception as error:  # noqa: BLE001  # the applier calls this: it must go on
            self._connection.broken(error)
            return
        self._connection.out.added(len(line))

    def backlog(self) -> int:
        """See `Outlet`."""
        return self._connection.out.backlog(self._stream_id)

    def finish(self, error: EtcdError | None = None) -> None:
        """See `Outlet`."""
        self._connection.finished(self._stream_id, error)

    def end(self, error: EtcdError | None) -> None:
        """The last line, and the end of the stream; the connection calls this."""
        last = b""
        if error is not None:
            reply = gateway.encode_stream_error(error.status, error.message)
            if not self._begun:
                fields = fields_of([*reply.headers, *self._wanted.headers])
                self._grpc.respond_http(self._stream_id, reply.status, fields, reply.body)
                return
            last = reply.body
        self._begin()
        self._grpc.send_http(self._stream_id, last, end=True)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            headers = [("Content-Type", "application/json"), *self._wanted.headers]
            self._grpc.begin_http(self._stream_id, 200, fields_of(headers))
