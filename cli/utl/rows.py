"""The rows of each bucket as lines that people can read, as etcd-dump-db shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from ...errors import CorruptData
from ...mvcc import lease_record
from ...mvcc.alarm import NAMES, Alarm
from ...mvcc.keyvalue import decode_bytes
from ...mvcc.restore import FINISHED_COMPACT, SCHEDULED_COMPACT
from ...mvcc.revision import MAIN_SHIFT, TOMBSTONE, packed_from_disk
from ...rpc.pb.auth_pb2 import Permission, Role, User
from ..common.goquote import quote

__all__ = ["decode_row", "plain_row"]

_NUMBERS: Final = (b"consistent_index", b"term")
_MARKS: Final = (SCHEDULED_COMPACT, FINISHED_COMPACT)


def plain_row(key: bytes, value: bytes) -> str:
    """Both as they are, quoted."""
    return f"key={quote(key)}, value={quote(value)}"


def decode_row(bucket: str, key: bytes, value: bytes) -> str:
    """What the row means; as it is, where that cannot be told."""
    decoder = _DECODERS.get(bucket)
    if decoder is None:
        return plain_row(key, value)
    try:
        return decoder(key, value)
    except (CorruptData, DecodeError, ValueError) as error:
        return f"{plain_row(key, value)} (cannot be decoded: {error})"


def _revision(disk: bytes) -> str:
    packed = packed_from_disk(disk)
    return f"{{Main:{packed >> MAIN_SHIFT} Sub:{(packed & (1 << MAIN_SHIFT) - 1) >> 1}}}"


def _key(key: bytes, value: bytes) -> str:
    kv = decode_bytes(value)
    tombstone = "true" if packed_from_disk(key) & TOMBSTONE else "false"
    lease = f" | lease {kv.lease & (1 << 64) - 1:016x}" if kv.lease else ""
    return (
        f"rev={{Revision:{_revision(key)} tombstone:{tombstone}}}, value=[key {quote(kv.key)} | val {quote(kv.value)}"
        f" | created {kv.create_revision} | mod {kv.mod_revision} | ver {kv.version}{lease}]"
    )


def _lease(key: bytes, value: bytes) -> str:
    lease = lease_record.decode(key, value)
    shown = lease.id & (1 << 64) - 1
    return f"lease ID={shown:016x}, TTL={lease.ttl}s, remaining TTL={lease.remaining_ttl}s"


def _meta(key: bytes, value: bytes) -> str:
    if key in _NUMBERS:
        return f"key={quote(key)}, value={int.from_bytes(value, 'big')}"
    if key in _MARKS:
        return f"key={quote(key)}, value={_revision(value)}"
    return plain_row(key, value)


def _alarm(key: bytes, _value: bytes) -> str:
    alarm = Alarm.decode(key)
    return f"member ID={alarm.member_id:x}, alarm={NAMES.get(alarm.kind, str(alarm.kind))}"


def _auth(key: bytes, value: bytes) -> str:
    if key == b"authRevision":
        return f"key={quote(key)}, value={int.from_bytes(value, 'big')}"
    return f"key={quote(key)}, value=[{' '.join(map(str, value))}]"


def _role(_key: bytes, value: bytes) -> str:
    role = Role.FromString(value)
    permissions = [
        f"{Permission.Type.Name(each.permType)} [{quote(each.key)}, {quote(each.range_end)})"
        for each in role.keyPermission
    ]
    return f"role={quote(role.name)}, keyPermission=[{', '.join(permissions)}]"


def _user(_key: bytes, value: bytes) -> str:
    user = User.FromString(value)
    password = "none" if user.options.no_password else "set"
    return (
        f"user={quote(user.name)}, roles=[{', '.join(map(quote, user.roles))}], password={password}"
    )


_DECODERS: Final[dict[str, Callable[[bytes, bytes], str]]] = {
    "key": _key,
    "lease": _lease,
    "meta": _meta,
    "alarm": _alarm,
    "auth": _auth,
    "authRoles": _role,
    "authUsers": _user,
}
