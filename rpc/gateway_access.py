"""What stands before the gateway and the pages: browsers, and HTTP headers as call metadata.

A browser may be made to send requests to a database on the victim's machine or network. Against that
stand the list of allowed origins (CORS) and, on plain HTTP, the list of allowed host names: a page of
the attacker whose name is re-bound to a local address still sends its own name in `Host`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from ..errors import Code, EtcdError
from .http_reply import HttpReply, error_page

__all__ = ["CallOptions", "call_options", "cors", "host_refusal", "host_of"]

ANY: Final = "*"
METADATA_PREFIX: Final = "grpc-metadata-"
BINARY_SUFFIX: Final = "-bin"
UNITS_NS: Final = {
    "H": 3600 * 10**9,
    "M": 60 * 10**9,
    "S": 10**9,
    "m": 10**6,
    "u": 10**3,
    "n": 1,
}
_TIMEOUT: Final = re.compile(r"([0-9]{1,18})([HMSmun])")
_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_VALUE: Final = re.compile(r"[ -~]*")


class CallOptions(NamedTuple):
    """The part of a gRPC call that is not the message."""

    metadata: dict[str, str | bytes]
    timeout_ns: int | None


def call_options(headers: Iterable[tuple[bytes, bytes]]) -> CallOptions:
    """Read the headers of a gateway request; raises EtcdError (InvalidArgument).

    `Authorization: TOKEN` becomes `authorization`, `Grpc-Metadata-NAME: VALUE` becomes `NAME` (base64
    for names that end in `-bin`), `Grpc-Timeout` the deadline. What gRPC could not carry is skipped.
    Of a repeated header the first counts, as for a gRPC call.
    """
    metadata: dict[str, str | bytes] = {}
    timeout_ns: int | None = None
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        if name == "grpc-timeout" and value:
            timeout_ns = _timeout_ns(value)
        elif name == "authorization":
            if _VALUE.fullmatch(value):
                metadata.setdefault(name, value)
        elif name.startswith(METADATA_PREFIX):
            key = name.removeprefix(METADATA_PREFIX)
            if not _KEY.fullmatch(key):
                continue
            if key.endswith(BINARY_SUFFIX):
                metadata.setdefault(key, _binary(name, value))
            elif _VALUE.fullmatch(value):
                metadata.setdefault(key, value)
    return CallOptions(metadata, timeout_ns)


def _timeout_ns(value: str) -> int:
    parts = _TIMEOUT.fullmatch(value)
    if parts is None:
        raise EtcdError(f"invalid grpc-timeout: {value}", code=Code.INVALID_ARGUMENT)
    return int(parts[1]) * UNITS_NS[parts[2]]


def _binary(name: str, value: str) -> bytes:
    try:
        return binascii.a2b_base64(value + "=" * (-len(value) % 4), strict_mode=True)
    except ValueError as error:
        raise EtcdError(
            f"invalid binary header {name}: {error}", code=Code.INVALID_ARGUMENT
        ) from None


def cors(allowed: Collection[str], origin: str) -> list[tuple[str, str]]:
    """The headers to add to every reply; an empty list of origins allows all, as `*` does.

    An OPTIONS request is answered by these alone, with status 200 and no body.
    """
    if not allowed or ANY in allowed:
        origin = ANY
    elif origin not in allowed:
        return []
    return [
        ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"),
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Headers", "accept, content-type, authorization"),
    ]


def host_of(authority: str) -> str:
    """The name in a Host header: without the port, without the brackets of an IPv6 address."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    name, colon, port = authority.rpartition(":")
    return name if colon and ":" not in name and "]" not in port else authority


def host_refusal(allowed: Collection[str], authority: str) -> HttpReply | None:
    """421 for a plain HTTP request to a name that is not ours; None when it may go on."""
    host = host_of(authority)
    if not allowed or ANY in allowed or host in allowed:
        return None
    return error_page(
        421,
        f"The Host header names {host!r}, which is not in this server's host-whitelist. Requests to\n"
        "unknown names are refused because a web page could use one to reach a local server (DNS\n"
        "rebinding, CVE-2018-5702). Use TLS, or add the name with --host-whitelist.",
    )
