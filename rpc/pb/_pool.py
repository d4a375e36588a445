"""The descriptor pool of Triode's own messages, and how generated modules enter it.

protobuf keeps one *default* pool per process and refuses a second definition of a full name. Triode is
embedded in programs that may also load another etcd client, whose generated code defines
`etcdserverpb.RangeRequest` too. So our messages live in a pool of their own: the names on the wire are
the same, the classes are not, and neither knows of the other.

The modules do not go through protobuf's private code builder either, so that they import with any
runtime that has descriptor pools, not only with one at least as new as the protoc that made them.
"""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf import descriptor, descriptor_pool, message, reflection
from google.protobuf.internal import enum_type_wrapper

__all__ = ["POOL", "load"]

POOL: Final = descriptor_pool.DescriptorPool()


def load(module: str, names: dict[str, Any], serialized: bytes) -> descriptor.FileDescriptor:
    """Add a serialized FileDescriptorProto; define its messages and enums in `names` (globals())."""
    file = POOL.AddSerializedFile(serialized)
    for name, enum in file.enum_types_by_name.items():
        names[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        names.update((value.name, value.number) for value in enum.values)
    for name, kind in file.message_types_by_name.items():
        names[name] = _message_class(module, kind, name)
    return file


def _message_class(module: str, kind: descriptor.Descriptor, path: str) -> type[message.Message]:
    members: dict[str, Any] = {
        name: _message_class(module, nested, f"{path}.{name}")
        for name, nested in kind.nested_types_by_name.items()
    }
    members |= {"DESCRIPTOR": kind, "__module__": module, "__qualname__": path}
    made = reflection.GeneratedProtocolMessageType(kind.name, (message.Message,), members)
    return cast("type[message.Message]", made)
