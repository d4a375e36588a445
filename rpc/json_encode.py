"""Protobuf message -> JSON, as etcd 3.6's gateway writes it.

Fields keep the names of the interface file; unset and zero fields are left out; 64-bit integers are
strings; bytes are standard base64; enums are names, or numbers when the name is unknown.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

__all__ = ["dump", "encode", "tree"]

_encoder: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def encode(message: Message) -> bytes:
    """One line of JSON without the line end."""
    return dump(tree(message))


def dump(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return _encoder.encode(value).encode()


def tree(message: Message) -> dict[str, Any]:
    """The message as plain dicts, lists, strings, numbers and booleans."""
    writers = _writers(message.DESCRIPTOR)
    return {field.name: writers[field.number](value) for field, value in message.ListFields()}


def _octets(value: bytes) -> str:
    return b64encode(value).decode()


def _enum(kind: EnumDescriptor, value: int) -> str | int:
    known = kind.values_by_number.get(value)
    return known.name if known else value


def _same(value: Any) -> Any:
    return value


def _all(write: Callable[[Any], Any], values: Any) -> list[Any]:
    return [write(value) for value in values]


_SCALARS: Final[dict[int, Callable[[Any], Any]]] = {
    FieldDescriptor.TYPE_BOOL: _same,
    FieldDescriptor.TYPE_STRING: _same,
    FieldDescriptor.TYPE_BYTES: _octets,
    FieldDescriptor.TYPE_INT32: _same,
    FieldDescriptor.TYPE_INT64: str,
    FieldDescriptor.TYPE_UINT32: _same,
    FieldDescriptor.TYPE_UINT64: str,
    FieldDescriptor.TYPE_MESSAGE: tree,
}


@cache
def _writers(kind: Descriptor) -> dict[int, Callable[[Any], Any]]:
    """Field number -> how to write its value."""
    writers: dict[int, Callable[[Any], Any]] = {}
    for field in kind.fields:
        if field.type == FieldDescriptor.TYPE_ENUM:
            assert field.enum_type is not None
            write: Callable[[Any], Any] = partial(_enum, field.enum_type)
        else:
            write = _SCALARS[field.type]
        writers[field.number] = partial(_all, write) if field.is_repeated else write
    return writers
