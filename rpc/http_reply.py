"""What a plain HTTP request is answered with: used by the pages and by the JSON gateway."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NamedTuple

__all__ = [
    "HttpReply",
    "error_page",
    "gzipped",
    "method_not_allowed",
    "not_found",
    "takes_gzip",
]

GZIP_LEVEL: Final = 3  # a page that is made anew for every request: little time, most of the gain
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS


class HttpReply(NamedTuple):
    """A whole reply; Content-Length and Date are the sender's business."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_TEXT: Final = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
]


def error_page(status: int, text: str) -> HttpReply:
    """A line of text, as Go's HTTP server reports errors."""
    return HttpReply(status, [*_TEXT], text.encode() + b"\n")


def method_not_allowed(allowed: str = "GET") -> HttpReply:
    """405, and what would be right."""
    reply = error_page(405, "Method Not Allowed")
    reply.headers.insert(0, ("Allow", allowed))
    return reply


def not_found() -> HttpReply:
    """404 for paths that are neither a page nor under `/v3/`."""
    return error_page(404, "404 page not found")


def takes_gzip(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request with these headers names gzip in Accept-Encoding, other than to exclude it."""
    for name, value in fields:
        if name.lower() != b"accept-encoding":
            continue
        for part in value.lower().split(b","):
            coding, _, parameter = part.partition(b";")
            if coding.strip() == b"gzip":
                weight = parameter.strip().removeprefix(b"q=") or b"1"
                with suppress(ValueError):
                    return float(weight) > 0
                return False
    return False


def gzipped(reply: HttpReply) -> HttpReply:
    """The same reply, compressed."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_FORMAT)
    body = packer.compress(reply.body) + packer.flush()
    return HttpReply(reply.status, [*reply.headers, ("Content-Encoding", "gzip")], body)
