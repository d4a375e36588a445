"""Paths that are not written as they should be (`//v3/kv/range`): the client is sent to the one that is meant.

Programs that join a base URL and a path write such paths, and with etcd they work, if the program follows
redirects. Source: `ServeMux` and `Redirect` of Go's net/http, which do it for every path that etcd serves.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from .http_reply import HttpReply

__all__ = ["redirect"]

STATUS: Final = 301
TEXT: Final = "Moved Permanently"
_PLAIN: Final = "$&+,/:;=@-_.~"  # what Go does not escape in a path, besides letters and digits
_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}


def redirect(verb: str, target: str) -> HttpReply | None:
    """The reply that names the clean path; None if the target of the request is clean already."""
    raw, _, query = target.partition("?")
    if verb == "CONNECT" or not raw.startswith("/"):
        return None
    path = unquote_to_bytes(raw)
    clean = _clean(path)
    if clean == path:
        return None
    location = quote(clean, safe=_PLAIN) + (f"?{query}" if query else "")
    headers = [("Location", location)]
    if verb not in ("GET", "HEAD"):
        return HttpReply(STATUS, headers, b"")
    link = "".join(_HTML.get(letter, letter) for letter in location)
    headers.append(("Content-Type", "text/html; charset=utf-8"))
    return HttpReply(STATUS, headers, f'<a href="{link}">{TEXT}</a>.\n\n'.encode())


def _clean(path: bytes) -> bytes:
    """Without empty parts, `.` and `..`; a slash at the end stays."""
    kept: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del kept[-1:]
        elif part not in (b"", b"."):
            kept.append(part)
    slash = b"/" if kept and path.endswith(b"/") else b""
    return b"/" + b"/".join(kept) + slash
