"""The head and the status of an answer, as a client reads them.

Source: gRPC over HTTP/2, with its mappings of HTTP status codes and of HTTP/2 error codes.
"""

from __future__ import annotations

from types import MappingProxyType

from ...errors import Code
from ..h2 import fields as rules
from ..h2.errors import ErrorCode
from ..h2.hpack_tables import Fields
from .metadata import RESERVED, Metadata, decode_field
from .status import decode_message

__all__ = ["ResponseHead", "parse_response", "parse_status", "read_status", "reset_status"]

_EMPTY: Metadata = MappingProxyType({})

_BY_HTTP_STATUS = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
_BY_RESET = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}


class ResponseHead:
    """What a server says ahead of its messages. Shared between calls: do not change it."""

    __slots__ = (
        "content_length",
        "encoding",
        "fault",
        "fields",
        "metadata",
        "plain",
        "status",
        "whole",
    )

    def __init__(self, status: int, fields: Fields) -> None:
        self.status = status
        self.fields = fields
        self.content_length = rules.content_length(fields)
        self.whole = False
        self.metadata = read_metadata(fields)
        self.encoding = ""
        self.fault: tuple[Code, str] | None = None
        """Why this is no answer of a gRPC server."""
        self.plain = False
        """It needs no attention."""


def parse_response(fields: Fields) -> ResponseHead:
    """`HeadParser` of a client's connection; raises StreamFault for malformed HTTP."""
    pseudo, rest = rules.split(fields, request=False)
    head = ResponseHead(int(pseudo[b":status"]), rest)
    kind = b""
    has_status = False
    for name, value in rest:
        if name == b"content-type":
            kind = value
        elif name == b"grpc-encoding":
            head.encoding = value.decode("ascii", "replace")
        elif name == b"grpc-status":
            has_status = True
    if head.status != 200 and not has_status:
        code = _BY_HTTP_STATUS.get(head.status, Code.UNKNOWN)
        head.fault = (code, f"unexpected HTTP status code received from server: {head.status}")
    elif not kind.startswith(b"application/grpc") and not has_status:
        text = kind.decode("utf-8", "replace")
        head.fault = (Code.UNKNOWN, f'received unexpected content-type "{text}"')
    head.plain = (
        head.status == 200
        and head.fault is None
        and head.content_length is None
        and not head.encoding
    )
    return head


def read_metadata(fields: Fields) -> Metadata:
    """First value of each name; a field that is not valid is left out."""
    values: dict[str, str | bytes] = {}
    for name, value in fields:
        if name not in RESERVED:
            try:
                values.setdefault(name.decode("ascii", "replace"), decode_field(name, value)[0])
            except ValueError:
                continue
    return MappingProxyType(values) if values else _EMPTY


Status = tuple[int, str, Metadata]
"""(code, text, metadata) at the end of a call."""


def parse_status(fields: Fields) -> Status:
    """`parse_trailers` of a client's connection."""
    return read_status(rules.parse_trailers(fields))


def read_status(fields: Fields) -> Status:
    """The status in trailers; an absent or wrong code is UNKNOWN."""
    code: int = Code.UNKNOWN
    text = "server closed the stream without sending a grpc-status"
    for name, value in fields:
        if name == b"grpc-status":
            known = value.isdigit() and len(value) < 10
            code = int(value) if known else Code.UNKNOWN
            text = "" if known else "malformed grpc-status"
    for name, value in fields:
        if name == b"grpc-message":
            text = decode_message(value)
    return code, text, read_metadata(fields)


def reset_status(error_code: int) -> tuple[Code, str]:
    """What RST_STREAM means for a call that has no status yet."""
    try:
        known = ErrorCode(error_code)
    except ValueError:
        return Code.UNKNOWN, f"stream terminated by RST_STREAM with error code: {error_code}"
    text = f"stream terminated by RST_STREAM with error code: {known.name}"
    return _BY_RESET.get(known, Code.INTERNAL), text
