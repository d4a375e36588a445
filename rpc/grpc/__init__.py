"""gRPC over HTTP/2 without any IO: sessions for servers and clients; see `docs/rpc-wire.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..h2.frames import looks_like_http2
from ..h2.limits import Limits
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

if TYPE_CHECKING:
    from .client import GrpcClient

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


def __getattr__(name: str) -> Any:
    if name == "GrpcClient":  # a server does without it
        from .client import GrpcClient

        return GrpcClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
