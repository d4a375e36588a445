"""Metadata: header fields that belong to the application.

Names are lower case; a name that ends in `-bin` has bytes as its value, base64 on the wire, with or without
padding, and several values may share one field, joined by commas.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping

from ..h2.hpack_tables import Field

__all__ = ["RESERVED", "Metadata", "decode_field", "encode_metadata"]

Metadata = Mapping[str, str | bytes]

RESERVED = frozenset(
    (
        b"content-type",
        b"te",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-status",
        b"grpc-message",
        b"content-length",
    )
)
"""Fields of the protocol itself; they are no metadata."""
_NAME = re.compile(r"[0-9a-z_.\-]+").fullmatch
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}").fullmatch


def decode_field(name: bytes, value: bytes) -> list[str | bytes]:
    """The values of one field, usually one; raises ValueError for bad base64.

    Text that is not UTF-8 comes with surrogate escapes, so that the caller can tell.
    """
    if not name.endswith(b"-bin"):
        return [value.decode("utf-8", "surrogateescape")]
    values: list[str | bytes] = []
    for part in value.split(b","):
        part = part.strip(b" ")  # noqa: PLW2901
        if not _BASE64(part):
            raise ValueError(f"malformed binary metadata {value!r} in header {name!r}")
        try:
            values.append(
                base64.b64decode(part.rstrip(b"=") + b"=" * (-len(part.rstrip(b"=")) % 4))
            )
        except binascii.Error as error:
            raise ValueError(f"malformed binary metadata {value!r} in header {name!r}") from error
    return values


def encode_metadata(items: Metadata | Iterable[tuple[str, str | bytes]]) -> tuple[Field, ...]:
    """Header fields for metadata.

    Raises:
        ValueError: a name or a text that cannot be sent.
        TypeError: bytes for a name without `-bin`, or text for one with it.
    """
    pairs = items.items() if isinstance(items, Mapping) else items
    fields: list[Field] = []
    for name, value in pairs:
        raw = name.encode("ascii", "replace")
        if not _NAME(name) or raw in RESERVED:
            raise ValueError(f"not a metadata name: {name!r}")
        if name.endswith("-bin"):
            if isinstance(value, str):
                raise TypeError(f"{name} takes bytes")
            fields.append((raw, base64.b64encode(value).rstrip(b"=")))
            continue
        if isinstance(value, bytes):
            raise TypeError(f"{name} takes str; bytes need a name ending in -bin")
        if not value.isascii() or not (value.isprintable() or not value):
            raise ValueError(f"{name}: only printable ASCII can be sent")
        fields.append((raw, value.strip(" ").encode()))
    return tuple(fields)
