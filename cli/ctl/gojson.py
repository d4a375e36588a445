"""JSON as Go's encoding/json writes the structs that etcd's generator makes of messages.

It is not protobuf's JSON: names are those of the .proto files, 64-bit numbers are numbers, enums too, bytes are
base64, what is zero is left out, and a oneof is an object of its own under the oneof's Go name.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["dumps", "message_value", "message_json"]

_HTML: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def dumps(value: Any) -> str:
    """Go's json.Marshal of plain values; bytes become base64."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_base64)
    return text.translate(_HTML)


def message_json(message: Message) -> str:
    """A message as one line."""
    return dumps(message_value(message))


def message_value(message: Message) -> dict[str, Any]:
    """A message as Go's struct of it would be marshalled, in the order of the struct's fields."""
    out: dict[str, Any] = {}
    done: set[str] = set()
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is None:
            if _present(message, field):
                out[field.name] = _value(message, field)
        elif oneof.name not in done:
            done.add(oneof.name)
            out[_go_name(oneof.name)] = _oneof(message, oneof.name)
    return out


def _oneof(message: Message, name: str) -> dict[str, Any] | None:
    chosen = message.WhichOneof(name)
    if chosen is None:
        return None
    field = message.DESCRIPTOR.fields_by_name[chosen]
    value = _value(message, field)
    return {chosen: value} if value not in (0, "", b"", False) else {}


def _present(message: Message, field: Any) -> bool:
    if field.is_repeated:
        return bool(getattr(message, field.name))
    if field.message_type is not None:
        return message.HasField(field.name)
    return bool(getattr(message, field.name))


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [message_value(each) if field.message_type else each for each in value]
    return message_value(value) if field.message_type is not None else value


def _go_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"cannot be shown as JSON: {type(value).__name__}")
