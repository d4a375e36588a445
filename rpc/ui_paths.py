"""Which request to `/ui` is what, and whether it may be: the page, its own endpoints, the part of the gateway it uses.

The page calls RPCs below `/ui/v3/`, not below `/v3/`: there the server decides what a page of this mode may
do. `read-only` is so a property of the server and not of a page that hides its buttons. It says nothing about
gRPC and the gateway itself, which are on the same port.

A page of somebody else's must not use this one through the browser of a person who can reach it. What comes
from another origin is refused here whatever the setting `cors` says; see `origin_refusal`.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import Code
from .gateway import encode_error
from .http_reply import HttpReply, error_page, method_not_allowed, not_found
from .methods import REST_PATHS, Method

__all__ = [
    "API",
    "MODES",
    "OFF",
    "READ_ONLY",
    "READ_WRITE",
    "REVISIONS_MAX",
    "WRITES",
    "KeyQuery",
    "is_ui",
    "key_query",
    "route",
]

OFF: Final = "off"
READ_ONLY: Final = "read-only"
READ_WRITE: Final = "read-write"
MODES: Final = (OFF, READ_ONLY, READ_WRITE)

PAGE: Final = "/ui"
API: Final = {"/ui/api/node": "node", "/ui/api/actors": "actors", "/ui/api/key": "key"}
"""The endpoints for what the gateway does not offer, by path."""
GATEWAY: Final = "/ui/v3/"
REVISIONS_MAX: Final = 100  # of a key in one answer

READS: Final = frozenset(
    {
        "/v3/kv/range",
        "/v3/watch",
        "/v3/lease/leases",
        "/v3/lease/timetolive",
        "/v3/cluster/member/list",
        "/v3/maintenance/status",
    }
)
WRITES: Final = frozenset(
    {
        "/v3/kv/put",
        "/v3/kv/txn",
        "/v3/kv/deleterange",
        "/v3/kv/compaction",
        "/v3/lease/grant",
        "/v3/lease/revoke",
        "/v3/maintenance/alarm",
    }
)
REFUSAL: Final = (
    "triode: this page is read-only; start the member with ui = read-write to change that"
)
FOREIGN: Final = "This page answers to itself only: the request comes from another origin."
OURS: Final = ("same-origin", "none")  # of Sec-Fetch-Site; "none" is a person who types the address


def is_ui(target: str) -> bool:
    """Whether a request target is below `/ui`."""
    return target.startswith(PAGE) and target[3:4] in ("", "/", "?")


def route(
    mode: str, verb: str, target: str, headers: Iterable[tuple[bytes, bytes]], authority: str
) -> str | Method | HttpReply:
    """What a request below `/ui` asks for: "page" or one of `API`'s names, an RPC, or the reply to send at once.

    `headers` have lower-case names; `authority` is the Host that was asked.
    """
    path = unquote(target.partition("?")[0])
    if path in (PAGE, PAGE + "/"):
        return "page" if verb in ("GET", "HEAD") else method_not_allowed("GET, HEAD")
    refusal = origin_refusal(headers, authority)
    if refusal is not None:
        return refusal
    if path in API:
        return API[path] if verb in ("GET", "HEAD") else method_not_allowed("GET, HEAD")
    if not path.startswith(GATEWAY):
        return not_found()
    rest = path.removeprefix(PAGE)
    if rest not in READS | WRITES:
        return encode_error(Code.NOT_FOUND, "Not Found")
    if verb != "POST":
        return method_not_allowed("POST")
    if rest in WRITES and mode != READ_WRITE:
        return encode_error(Code.PERMISSION_DENIED, REFUSAL)
    return REST_PATHS[rest]


class KeyQuery(NamedTuple):
    """What a request to `/ui/api/key` asks for."""

    key: bytes
    before: int  # changes before this revision only; 0: from the present on
    limit: int


def key_query(target: str) -> KeyQuery | HttpReply:
    """Read the query; the reply if it is wrong. `key` is base64, standard or URL-safe."""
    try:
        query = parse_qs(target.partition("?")[2], max_num_fields=10)
        text = query["key"][0].replace(" ", "+").replace("-", "+").replace("_", "/")
        key = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        before = int(query.get("before", ["0"])[0])
        limit = int(query.get("limit", [str(REVISIONS_MAX)])[0])
    except (KeyError, ValueError):
        return error_page(400, "key is base64, before and limit are numbers")
    return KeyQuery(key, before, max(1, min(limit, REVISIONS_MAX)))


def origin_refusal(headers: Iterable[tuple[bytes, bytes]], authority: str) -> HttpReply | None:
    """403 for what a page of another origin makes a browser send; None for everybody else.

    Browsers say by Sec-Fetch-Site how the page that asks is related to what it asks for, but to
    trustworthy addresses only (HTTPS, loopback). Everywhere they send the Origin with what can change something.
    Programs that are no browsers send neither.
    """
    found = dict(headers)
    site = found.get(b"sec-fetch-site", b"").decode("latin-1")
    if site:
        return None if site in OURS else error_page(403, FOREIGN)
    origin = found.get(b"origin", b"").decode("latin-1")
    if origin and _authority_of(origin) != authority.lower():
        return error_page(403, FOREIGN)
    return None


def _authority_of(origin: str) -> str:
    """Host and port of an origin; of "null" and what is no URL, something that is no authority."""
    try:
        return urlsplit(origin).netloc.lower() or " "
    except ValueError:
        return " "
