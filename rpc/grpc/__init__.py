"""gRPC over HTTP/2 without any IO: sessions for servers and clients; see `docs/rpc-wire.md`."""

from __future__ import annotations

from ..h2.frames import looks_like_http2
from ..h2.limits import Limits
from .client import GrpcClient
from .events import (
    CallStarted,
    Cancelled,
    Ended,
    HalfClosed,
    HttpRequest,
    Message,
    Request,
    ServerEvent,
    Writable,
)
from .heads import RequestHead
from .keepalive import KeepaliveEnforcer
from .server import GrpcServer

__all__ = [
    "CallStarted",
    "Cancelled",
    "Ended",
    "GrpcClient",
    "GrpcServer",
    "HalfClosed",
    "HttpRequest",
    "KeepaliveEnforcer",
    "Limits",
    "Message",
    "Request",
    "RequestHead",
    "ServerEvent",
    "Writable",
    "looks_like_http2",
]
