"""The page as it is sent: one document, with its style and its script inside.

The sources lie in `static/`: the document, the parts of the style in the order of `STYLES`, and those of
the script in the order of `SCRIPTS`, which share one scope. They are put together when the page is first asked for;
nothing has to be built.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from ...errors import InvariantBroken
from ...rpc.http_reply import HttpReply

__all__ = ["SCRIPTS", "STYLES", "headers_for_data", "page"]

SCRIPTS: Final = (
    "text.js",
    "dom.js",
    "server.js",
    "overview.js",
    "keys.js",
    "history.js",
    "change.js",
    "watch.js",
    "leases.js",
    "actors.js",
    "main.js",
)
STYLES: Final = ("style.css", "readers.css")
STYLE_MARK: Final = "/* styles */"
SCRIPT_MARK: Final = "/* scripts */"

COMMON: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def _read(name: str) -> str:
    return files(__package__).joinpath("static", name).read_text("utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _policy(style: str, script: str) -> str:
    """Nothing but what is in the document, by its hash; no other host; no HTML made from text."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


@cache
def page() -> HttpReply:
    """The document and its headers."""
    style = "\n" + "\n".join(_read(name) for name in STYLES)
    script = "\n" + "\n".join(_read(name) for name in SCRIPTS)
    if "</" in script:
        raise InvariantBroken("a script must not look like its own end")
    document = _read("page.html").replace(STYLE_MARK, style).replace(SCRIPT_MARK, script)
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", _policy(style, script)),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
        *COMMON,
    ]
    return HttpReply(200, headers, document.encode())


def headers_for_data() -> list[tuple[str, str]]:
    """Of a JSON reply."""
    return [("Content-Type", "application/json"), *COMMON]
