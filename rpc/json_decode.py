"""Parsed JSON -> protobuf message, by protobuf's JSON mapping as etcd 3.6's gateway applies it.

* A field may be called by its name in the interface file or by its lowerCamelCase form.
* Unknown fields, and enum names that do not exist, are ignored; null leaves a field unset.
* 64-bit integers come as numbers or strings; `1e3` and `2.0` are integers; out of range is an error.
* bytes are base64, standard or URL-safe, padded or not.
* The same field twice, or two fields of a oneof, are an error.

google.protobuf.json_format is not used: it takes `1_0` for a number, skips wrong characters in base64,
lets one field come under both of its names, and refuses what follows the first value.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache, partial
from typing import Any, Final, TypeVar

import attrs
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from .json_text import Number, Object, bad_json, parse

__all__ = ["decode"]

M = TypeVar("M", bound=Message)
SHOWN_MAX: Final = 64  # characters of a wrong value in the error text
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_LINE_ENDS: Final = str.maketrans("", "", "\r\n")


def decode(kind: type[M], value: bytes) -> M:
    """Read one JSON object as a message of `kind`; raises EtcdError (InvalidArgument)."""
    message = kind()
    _fill(message, parse(value))
    return message


@attrs.frozen
class _Field:
    name: str
    number: int
    repeated: bool
    oneof: str | None
    scalar: Callable[[Any], Any] | None  # None: a message
    type_name: str

    def refuse(self, value: object) -> Exception:
        shown = (
            "{" if isinstance(value, Object) else "[" if isinstance(value, list) else repr(value)
        )
        return bad_json(
            f"proto: invalid value for {self.type_name} field {self.name}: {shown[:SHOWN_MAX]}"
        )


def _fill(message: Message, value: Any) -> None:
    if not isinstance(value, Object):
        raise bad_json(
            f"proto: syntax error: unexpected token, not an object: {value!r:.{SHOWN_MAX}}"
        )
    fields = _fields(message.DESCRIPTOR)
    seen: set[int | str] = set()
    for name, member in value:
        field = fields.get(name)
        if field is None:
            continue
        if field.number in seen:
            raise bad_json(f'proto: duplicate field "{name}"')
        seen.add(field.number)
        if member is None:
            continue
        if field.oneof:
            if field.oneof in seen:
                raise bad_json(f'proto: error parsing "{name}", oneof {field.oneof} is already set')
            seen.add(field.oneof)
        (_set_list if field.repeated else _set_one)(message, field, member)


def _set_one(message: Message, field: _Field, value: Any) -> None:
    if field.scalar is None:
        child: Message = getattr(message, field.name)
        child.SetInParent()
        _fill(child, value)
        return
    converted = _convert(field, value)
    if converted is not None:
        setattr(message, field.name, converted)


def _set_list(message: Message, field: _Field, value: Any) -> None:
    if not isinstance(value, list):
        raise field.refuse(value)
    target = getattr(message, field.name)
    for item in value:
        if field.scalar is None:
            _fill(target.add(), item)
            continue
        converted = _convert(field, item)
        if converted is not None:
            target.append(converted)


def _convert(field: _Field, value: Any) -> Any:
    assert field.scalar is not None
    try:
        return field.scalar(value)
    except (ValueError, ArithmeticError):
        raise field.refuse(value) from None


# --- scalars: raise ValueError or ArithmeticError for a wrong value; None means ignore ----------


def _integer(low: int, high: int, value: Any) -> int:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise ValueError
    if len(value) <= 20 and value.lstrip("-").isdecimal():
        number = int(value)
    else:
        exact = Decimal(value)
        if exact and exact.adjusted() > 20:
            raise ValueError
        number = int(exact)
        if number != exact:
            raise ValueError
    if not low <= number <= high:
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - one kind of refusal
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    value.encode()  # refuses half of a surrogate pair
    return value


def _octets(value: Any) -> bytes:
    if type(value) is not str:
        raise ValueError
    if "-" in value or "_" in value:
        if "+" in value or "/" in value:
            raise ValueError
        value = value.translate(_URL_SAFE)
    bare = value.translate(_LINE_ENDS)
    if len(value) % 4:
        if "=" in bare:
            raise ValueError
        bare += "=" * (-len(bare) % 4)
    return binascii.a2b_base64(bare, strict_mode=True)


def _enum(kind: EnumDescriptor, value: Any) -> int | None:
    if type(value) is str:
        known = kind.values_by_name.get(value)
        return known.number if known else None
    if not isinstance(value, Number):
        raise ValueError  # noqa: TRY004 - one kind of refusal
    number = _integer(-(1 << 31), (1 << 31) - 1, value)
    if kind.is_closed and number not in kind.values_by_number:
        raise ValueError
    return number


_SCALARS: Final[dict[int, tuple[str, Callable[[Any], Any]]]] = {
    FieldDescriptor.TYPE_BOOL: ("bool", _boolean),
    FieldDescriptor.TYPE_STRING: ("string", _text),
    FieldDescriptor.TYPE_BYTES: ("bytes", _octets),
    FieldDescriptor.TYPE_INT32: ("int32", partial(_integer, -(1 << 31), (1 << 31) - 1)),
    FieldDescriptor.TYPE_INT64: ("int64", partial(_integer, -(1 << 63), (1 << 63) - 1)),
    FieldDescriptor.TYPE_UINT32: ("uint32", partial(_integer, 0, (1 << 32) - 1)),
    FieldDescriptor.TYPE_UINT64: ("uint64", partial(_integer, 0, (1 << 64) - 1)),
}


@cache
def _fields(kind: Descriptor) -> dict[str, _Field]:
    """Both names of every field -> how to set it."""
    known: dict[str, _Field] = {}
    for field in kind.fields:
        type_name = "message"
        scalar: Callable[[Any], Any] | None = None
        if field.type == FieldDescriptor.TYPE_ENUM:
            assert field.enum_type is not None
            type_name, scalar = "enum", partial(_enum, field.enum_type)
        elif field.type != FieldDescriptor.TYPE_MESSAGE:
            type_name, scalar = _SCALARS[field.type]
        known[field.name] = known[field.json_name] = _Field(
            name=field.name,
            number=field.number,
            repeated=field.is_repeated,
            oneof=field.containing_oneof.full_name if field.containing_oneof else None,
            scalar=scalar,
            type_name=type_name,
        )
    return known
