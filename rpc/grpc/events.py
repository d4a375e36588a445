"""What a gRPC server session reports. NamedTuples, because one is made per call."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import Code
from .heads import RequestHead

__all__ = [
    "CallStarted",
    "Cancelled",
    "Ended",
    "HalfClosed",
    "HttpRequest",
    "Message",
    "Request",
    "ServerEvent",
    "Writable",
]


class Request(NamedTuple):
    """A unary call, complete: answer with `respond` or `fail`."""

    stream_id: int
    head: RequestHead
    message: bytes


class CallStarted(NamedTuple):
    """A call of a path that is not unary has begun; messages follow."""

    stream_id: int
    head: RequestHead


class Message(NamedTuple):
    """The next message of a streaming call."""

    stream_id: int
    data: bytes


class HalfClosed(NamedTuple):
    """The client will send no more messages on this call."""

    stream_id: int


class Cancelled(NamedTuple):
    """The call is over: the client has cancelled it, or sent what is no message and is told so by `code`."""

    stream_id: int
    code: int = Code.CANCELED


class Writable(NamedTuple):
    """All that waited for flow control credit on this call has gone out."""

    stream_id: int


class HttpRequest(NamedTuple):
    """A request that is not gRPC, complete: answer with `respond_http`."""

    stream_id: int
    head: RequestHead
    body: bytes


class Ended(NamedTuple):
    """The client broke the protocol: send what is left, then close. All calls are over."""

    code: int
    text: str


ServerEvent = (
    Request | CallStarted | Message | HalfClosed | Cancelled | Writable | HttpRequest | Ended
)
