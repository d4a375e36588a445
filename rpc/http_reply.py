"""What a plain HTTP request is answered with: used by the pages and by the JSON gateway."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["HttpReply", "error_page", "method_not_allowed", "not_found"]


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
