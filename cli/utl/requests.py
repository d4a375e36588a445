"""What a log entry asks for: decoded, without the passwords, as text or as JSON."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from ...protowire import fields
from ...raft.codec import decode_conf_change, decode_conf_change_v2
from ...raft.types import ConfChangeSingle, Entry, EntryType
from ...rpc.json_encode import tree
from ...rpc.pb.raft_internal_pb2 import InternalRaftRequest
from ..common.goquote import quote

__all__ = ["CONFIG_CHANGE", "decode", "kinds", "members_text", "request_json", "request_text"]

CONFIG_CHANGE: Final = "ConfigChange"
REMOVED: Final = "<value removed>"
_SECRETS: Final = {
    "authenticate": ("password", "simple_token"),
    "auth_user_add": ("password", "hashedPassword"),
    "auth_user_change_password": ("password", "hashedPassword"),
}
_ENVELOPE: Final = frozenset({"header", "ID"})


def decode(entry: Entry) -> InternalRaftRequest | None:
    """The request of a normal entry; None if it is none (the empty one of a new leader is)."""
    request = InternalRaftRequest()
    try:
        request.ParseFromString(entry.data)
    except DecodeError:
        return None
    for field, secrets in _SECRETS.items():
        if request.HasField(field):
            inner = getattr(request, field)
            for secret in secrets:
                if getattr(inner, secret):
                    setattr(inner, secret, REMOVED)
    return request


def kinds(entry: Entry, request: InternalRaftRequest | None) -> set[str]:
    """The entry types of etcd-dump-logs that this entry is of: "Normal", "IRRPut" and so on."""
    if entry.type != EntryType.NORMAL:
        return {CONFIG_CHANGE}
    if request is None:
        return {"Normal", "Request"}
    asked = [field.name for field, _ in request.ListFields() if field.name not in _ENVELOPE]
    return {"Normal", "InternalRaftRequest", *map(request_kind, asked)}


def request_kind(field: str) -> str:
    """`delete_range` -> `IRRDeleteRange`."""
    return "IRR" + "".join(word.capitalize() for word in field.split("_"))


def request_text(entry: Entry, request: InternalRaftRequest | None) -> str:
    """One line: protobuf's text form, or the steps of a membership change."""
    if entry.type != EntryType.NORMAL:
        return _change_text(entry)
    if request is None:
        return _old_request(entry.data)
    return _message(request) if entry.data else "noop"


def request_json(entry: Entry, request: InternalRaftRequest | None) -> dict[str, Any]:
    """The same for JSON, with bytes in base64 and 64-bit numbers as texts."""
    if entry.type != EntryType.NORMAL:
        return {"change": _change_text(entry)}
    if request is None:
        return {"request": None, "text": _old_request(entry.data)}
    return {"request": tree(request)}


def _old_request(data: bytes) -> str:
    """A request to the store of etcd's second API, by which etcd 3.5 still publishes members and versions."""
    try:
        found = dict(fields(data))
    except ValueError:
        return "???"
    method, path, value = (found.get(number, b"") for number in (2, 3, 4))
    if not (isinstance(method, bytes) and isinstance(path, bytes) and isinstance(value, bytes)):
        return "???"
    text = f"method={method.decode('utf-8', 'replace')} path={quote(path)}"
    return f"{text} val={quote(value)}" if value else text


def _message(message: Message) -> str:
    return " ".join(_field(field, value) for field, value in message.ListFields())


def _field(field: FieldDescriptor, value: Any) -> str:
    if field.is_repeated:
        return " ".join(f"{field.name}:{_value(field, each)}" for each in value)
    return f"{field.name}:{_value(field, value)}"


def _value(field: FieldDescriptor, value: Any) -> str:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return "{" + _message(value) + "}"
    if field.type == FieldDescriptor.TYPE_ENUM:
        assert field.enum_type is not None
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value) if isinstance(value, bytes | str) else str(value)


def _change_text(entry: Entry) -> str:
    try:
        if entry.type == EntryType.CONF_CHANGE:
            change = decode_conf_change(entry.data)
            text = _step(ConfChangeSingle(change.type, change.node_id))
        else:
            several = decode_conf_change_v2(entry.data)
            change, text = several, " ".join(map(_step, several.changes)) or "leave joint"  # type: ignore[assignment]
    except ValueError:
        return "???"
    return f"{text} context:{quote(change.context)}" if change.context else text


def _step(step: ConfChangeSingle) -> str:
    name = step.type.name.title().replace("_", "")
    return f"method=ConfChange{name} id={step.node_id:x}"


def members_text(ids: tuple[int, ...]) -> str:
    """Member IDs as they are written everywhere."""
    return " ".join(f"{each:x}" for each in ids) or "none"
