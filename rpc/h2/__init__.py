"""HTTP/2 (RFC 9113) and HPACK (RFC 7541) without any IO; see `docs/rpc-wire.md`."""

from __future__ import annotations

from .connection import Connection, HeadParser
from .errors import ErrorCode, StreamFault
from .events import Event
from .frames import PREFACE, looks_like_http2
from .limits import Limits

__all__ = [
    "PREFACE",
    "Connection",
    "ErrorCode",
    "Event",
    "HeadParser",
    "Limits",
    "StreamFault",
    "looks_like_http2",
]
