"""The JSON gateway: etcd's RPCs as `POST /v3/…` with JSON bodies. Pure: bytes and messages only.

A request runs so: `route` finds the RPC (or the reply to send at once, or None for a path that is
not ours); `gateway_access.call_options` turns HTTP headers into metadata; `decode_request` (or a
`RequestStream`, for the RPCs with `client_streaming`) makes messages of the body; then the same
handler as for gRPC runs, and `encode_reply` or `encode_item` writes what it answers. Everything that
can be wrong with a request is an `EtcdError`; `encode_error` and `encode_stream_error` write that.

Source: etcd 3.6, which embeds grpc-gateway v2 with `UseProtoNames`, without `EmitUnpopulated`, and
with `DiscardUnknown`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar
from urllib.parse import unquote

from google.protobuf.message import Message

from ..errors import Code, EtcdError
from .http_reply import HttpReply
from .json_decode import decode
from .json_encode import dump, encode, tree
from .json_text import JsonCutter
from .methods import REST_PATHS, Method

__all__ = [
    "BODY_BYTES_MAX",
    "HTTP_STATUS",
    "RequestStream",
    "decode_request",
    "encode_error",
    "encode_item",
    "encode_reply",
    "encode_stream_error",
    "route",
]

M = TypeVar("M", bound=Message)
BODY_BYTES_MAX: Final = 4 << 20  # of one JSON object: base64 of the largest gRPC request and more
PREFIX: Final = "/v3/"
OLD_PREFIX: Final = "/v3beta/"
_JSON: Final = ("Content-Type", "application/json")

HTTP_STATUS: Final[dict[int, int]] = {
    Code.OK: 200,
    Code.CANCELED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


def route(verb: str, target: str) -> Method | HttpReply | None:
    """Find the RPC of an HTTP request line; a reply for a wrong one; None: not a gateway path."""
    path = unquote(target.partition("?")[0])
    if path.startswith(OLD_PREFIX):
        path = PREFIX + path.removeprefix(OLD_PREFIX)
    if not path.startswith(PREFIX):
        return None
    method = REST_PATHS.get(path)
    if method is None:
        return encode_error(Code.NOT_FOUND, "Not Found")
    if verb != "POST":
        return encode_error(Code.UNIMPLEMENTED, "Method Not Allowed")
    return method


def decode_request(kind: type[M], body: bytes, *, bytes_max: int = BODY_BYTES_MAX) -> M:
    """The one message of a unary or server-streaming call; an empty body is an empty message.

    What follows the first object is ignored, as etcd does. Raises EtcdError (InvalidArgument).
    """
    if len(body) > bytes_max:
        raise EtcdError(
            f"request body is larger than {bytes_max} bytes", code=Code.INVALID_ARGUMENT
        )
    cutter = JsonCutter(object_bytes_max=bytes_max)
    cutter.feed(body)
    value = cutter.take()
    if value is None:
        cutter.finish()
        return kind()
    return decode(kind, value)


class RequestStream:
    """The messages of a client-streaming call, from body bytes as they arrive."""

    def __init__(self, kind: type[Message], *, bytes_max: int = BODY_BYTES_MAX) -> None:
        self._kind = kind
        self._cutter = JsonCutter(object_bytes_max=bytes_max)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete; raises EtcdError behind the last good one."""
        self._cutter.feed(data)
        try:
            while (value := self._cutter.take()) is not None:
                yield decode(self._kind, value)
        except EtcdError as error:
            raise _undecodable(error) from None

    def finish(self) -> None:
        """The body has ended; raises EtcdError when it ended within a message."""
        try:
            self._cutter.finish()
        except EtcdError as error:
            raise _undecodable(error) from None


def _undecodable(error: EtcdError) -> EtcdError:
    return EtcdError(f"Failed to decode request: {error.message}", code=error.status)


def encode_reply(kind: type[Message], payload: bytes) -> HttpReply:
    """The reply of a unary call, from the message that a gRPC client would be sent."""
    return HttpReply(200, [_JSON], encode(kind.FromString(payload)))


def encode_item(kind: type[Message], payload: bytes) -> bytes:
    """One line of a streaming reply (status 200, Content-Type application/json, chunked)."""
    return dump({"result": tree(kind.FromString(payload))}) + b"\n"


def encode_error(code: int, text: str) -> HttpReply:
    """The reply to a unary call that failed."""
    headers = [_JSON]
    if code == Code.UNAUTHENTICATED:
        headers.append(("WWW-Authenticate", text))
    return HttpReply(HTTP_STATUS.get(code, 500), headers, dump(_status(code, text)))


def encode_stream_error(code: int, text: str) -> HttpReply:
    """The end of a streaming call that failed: the body goes out as the last line.

    Status and headers are for the case that no item was sent yet.
    """
    body = dump({"error": _status(code, text)}) + b"\n"
    return HttpReply(HTTP_STATUS.get(code, 500), [_JSON], body)


def _status(code: int, text: str) -> dict[str, object]:
    """A google.rpc.Status, zero fields left out."""
    return ({"code": int(code)} if code else {}) | ({"message": text} if text else {})
