"""The rules for header fields (RFC 9113 section 8): which lists are malformed.

A malformed request or response is a fault of its stream, not of the connection.
"""

from __future__ import annotations

import re

import attrs

from .errors import ErrorCode, StreamFault
from .hpack_tables import Fields

__all__ = ["PlainHead", "content_length", "parse_plain", "parse_trailers", "split"]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_BAD_VALUE = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]$").search
_FORBIDDEN = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_REQUEST = frozenset((b":method", b":scheme", b":path", b":authority"))
_RESPONSE = frozenset((b":status",))


def malformed(text: str) -> StreamFault:
    return StreamFault(ErrorCode.PROTOCOL_ERROR, text)


def split(fields: Fields, *, request: bool) -> tuple[dict[bytes, bytes], Fields]:
    """Part the pseudo-header fields from the rest; raises StreamFault if the list is malformed."""
    allowed = _REQUEST if request else _RESPONSE
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] != b":":
            break
        if name not in allowed or name in pseudo or _BAD_VALUE(value):
            raise malformed("unknown, repeated or bad pseudo-header field")
        pseudo[name] = value
    rest = fields[len(pseudo) :]
    _check(rest)
    if request:
        if pseudo.get(b":method") == b"CONNECT":
            if b":path" in pseudo or b":scheme" in pseudo or b":authority" not in pseudo:
                raise malformed("bad CONNECT")
        elif not (pseudo.get(b":method") and pseudo.get(b":scheme") and pseudo.get(b":path")):
            raise malformed("a request needs :method, :scheme and :path")
    elif len(status := pseudo.get(b":status", b"")) != 3 or not status.isdigit():
        raise malformed("a response needs a :status of three digits")
    return pseudo, rest


def _check(fields: Fields) -> None:
    for name, value in fields:
        if not _NAME(name):
            raise malformed("a field name is empty, in upper case, or a misplaced pseudo-header")
        if name in _FORBIDDEN or (name == b"te" and value.lower() != b"trailers"):
            raise malformed("connection-specific field")
        if _BAD_VALUE(value):
            raise malformed("bad field value")


def parse_trailers(fields: Fields) -> Fields:
    """The default `parse_trailers` of a connection: no pseudo-header fields at all are allowed."""
    _check(fields)
    return fields


def content_length(fields: Fields) -> int | None:
    """The declared body length in bytes; raises StreamFault for nonsense or contradiction."""
    values = {value for name, value in fields if name == b"content-length"}
    if not values:
        return None
    value = values.pop()
    if values or not value.isdigit() or len(value) > 18:
        raise malformed("bad content-length")
    return int(value)


@attrs.define(slots=True)
class PlainHead:
    """A header list as it came, for users that want HTTP and not gRPC."""

    pseudo: dict[bytes, bytes]
    fields: Fields
    content_length: int | None
    whole: bool = False

    @property
    def status(self) -> int:
        """A response's status, 0 for a request."""
        return int(self.pseudo.get(b":status", b"0"))


def parse_plain(fields: Fields, *, request: bool) -> PlainHead:
    """The default `parse_head` of a connection."""
    pseudo, rest = split(fields, request=request)
    return PlainHead(pseudo, rest, content_length(rest))
