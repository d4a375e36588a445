"""The head of a call: what a client's header block says, parsed once for many calls.

A client repeats its fields from call to call, but for `grpc-timeout`. So the parser takes the timeout
out, looks the rest up among the heads it has seen, and only makes a small copy with the new timeout. The
HTTP/2 layer keeps its own memo in front, for blocks that repeat to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from types import MappingProxyType
from typing import Any, NamedTuple

from ...errors import Code
from ..h2 import fields as rules
from ..h2.hpack_tables import Field
from .metadata import RESERVED, Metadata, decode_field
from .timeout import parse_timeout

__all__ = ["Refusal", "RequestHead", "RequestParser"]


class Refusal(NamedTuple):
    """Why a call is answered before it starts."""

    code: Code
    text: str
    http_status: int


class RequestHead:
    """What a client says ahead of its messages. Shared between calls: do not change it.

    Attributes:
        path: "/package.Service/Method".
        authority: the host the client believes it talks to.
        timeout_ns: time the client gives the call, or None.
        metadata: first value of each name; `-bin` values are bytes. Text that is not UTF-8 has surrogate
            escapes.
        fields: all header fields as they came, without pseudo-header fields and grpc-timeout.
        method: the HTTP method ("POST" for every gRPC call).
        encoding: grpc-encoding.
        unary: the path was declared unary: the call comes as one `Request`.
        memo: a place for whatever the user derives from the head; heads that differ only in their timeout share it.
    """

    __slots__ = (
        "authority",
        "content_length",
        "encoding",
        "fields",
        "memo",
        "metadata",
        "method",
        "path",
        "refusal",
        "timeout_ns",
        "unary",
        "whole",
    )

    def __init__(
        self,
        path: str,
        authority: str,
        metadata: Metadata,
        fields: tuple[Field, ...],
        method: str,
        encoding: str,
        content_length: int | None,
        unary: bool,
        whole: bool,
        refusal: Refusal | None,
        timeout_ns: int | None,
        memo: dict[str, Any],
    ) -> None:
        self.path = path
        self.authority = authority
        self.metadata = metadata
        self.fields = fields
        self.method = method
        self.encoding = encoding
        self.content_length = content_length
        self.unary = unary
        self.whole = whole
        self.refusal = refusal
        self.timeout_ns = timeout_ns
        self.memo = memo

    def with_timeout(self, timeout_ns: int) -> RequestHead:
        return RequestHead(
            self.path,
            self.authority,
            self.metadata,
            self.fields,
            self.method,
            self.encoding,
            self.content_length,
            self.unary,
            self.whole,
            self.refusal,
            timeout_ns,
            self.memo,
        )

    def refused(self, code: Code, text: str, http_status: int) -> RequestHead:
        self.refusal = Refusal(code, text, http_status)
        self.unary = self.whole = False
        return self


class RequestParser:
    """Turns header fields into heads, as `HeadParser` of an HTTP/2 connection.

    Args:
        is_unary: tells whether a path is a unary method: a set of paths or a function.
        http: hand requests that are not gRPC to the user instead of refusing them.
        heads_max: how many distinct heads are kept.
    """

    def __init__(
        self,
        is_unary: Callable[[str], bool] | Container[str],
        *,
        http: bool = False,
        heads_max: int = 256,
    ) -> None:
        self._is_unary = is_unary if callable(is_unary) else is_unary.__contains__
        self._http = http
        self._heads_max = heads_max
        self._timeout_at = 0
        self._heads: dict[tuple[Field, ...], RequestHead] = {}

    def __call__(self, fields: tuple[Field, ...]) -> RequestHead:
        """The head for a request's fields; raises StreamFault if they are malformed HTTP."""
        timeout = None
        at = self._timeout_at
        if at >= len(fields) or fields[at][0] != b"grpc-timeout":
            at = self._find_timeout(fields)
        if at < len(fields):
            timeout = fields[at][1]
            fields = fields[:at] + fields[at + 1 :]
        head = self._heads.get(fields)
        if head is None:
            head = self._parse(fields)
            if len(self._heads) >= self._heads_max:
                self._heads.clear()
            self._heads[fields] = head
        if timeout is None:
            return head
        try:
            return head.with_timeout(parse_timeout(timeout))
        except ValueError as error:
            text = f"malformed grpc-timeout: {error}"
            return head.with_timeout(0).refused(Code.INTERNAL, text, 400)

    def _find_timeout(self, fields: tuple[Field, ...]) -> int:
        """The place of grpc-timeout, where it is looked for first the next time; else the length."""
        for at, (name, _) in enumerate(fields):
            if name == b"grpc-timeout":
                self._timeout_at = at
                return at
        return len(fields)

    def _parse(self, fields: tuple[Field, ...]) -> RequestHead:
        pseudo, rest = rules.split(fields, request=True)
        kind = encoding = b""
        for name, value in rest:
            if name == b"content-type":
                kind = value
            elif name == b"grpc-encoding":
                encoding = value
        path = pseudo.get(b":path", b"").decode("utf-8", "replace")
        method = pseudo[b":method"].decode("ascii", "replace")
        is_grpc = kind == b"application/grpc" or kind[:17] in (
            b"application/grpc+",
            b"application/grpc;",
        )
        unary = is_grpc and bool(self._is_unary(path))
        metadata, fault = _metadata(rest)
        head = RequestHead(
            path,
            pseudo.get(b":authority", b"").decode("utf-8", "replace"),
            metadata,
            rest,
            method,
            encoding.decode("utf-8", "replace"),
            rules.content_length(rest),
            unary,
            unary or not is_grpc,
            None,
            None,
            {},
        )
        if not is_grpc:
            if self._http:
                return head
            text = f'invalid gRPC request content-type "{kind.decode("utf-8", "replace")}"'
            return head.refused(Code.INVALID_ARGUMENT, text, 415)
        if method != "POST":
            text = f'Received a HEADERS frame with :method "{method}" which should be POST'
            return head.refused(Code.INTERNAL, text, 405)
        return head.refused(Code.INTERNAL, fault, 400) if fault else head


def _metadata(fields: tuple[Field, ...]) -> tuple[Metadata, str]:
    values: dict[str, str | bytes] = {}
    try:
        for name, value in fields:
            if name not in RESERVED:
                values.setdefault(name.decode("ascii"), decode_field(name, value)[0])
    except ValueError as error:
        return MappingProxyType({}), str(error)
    return MappingProxyType(values), ""
