"""Users, roles, and whether anybody asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ....client.keys import prefix_end
from ....rpc.pb.auth_pb2 import Permission
from ....rpc.pb.rpc_pb2 import (
    AuthRoleGetResponse,
    AuthRoleListResponse,
    AuthStatusResponse,
    AuthUserGetResponse,
    AuthUserListResponse,
)
from ...common.goquote import quote
from ...common.output import Output
from ..view import MessageView
from .header import header_fields

__all__ = [
    "AuthStatusView",
    "DoneView",
    "RoleListView",
    "RoleView",
    "UserListView",
    "UserView",
]

_OPEN_END = b"\x00"
_READS = (Permission.READ, Permission.READWRITE)
_WRITES = (Permission.WRITE, Permission.READWRITE)


class DoneView(MessageView):
    """Something was done, and the response has nothing but a header.

    Args:
        message: the response.
        text: says what was done.
    """

    message: Any

    def __init__(self, message: Any, text: str | bytes) -> None:
        super().__init__(message)
        self._text = text

    def simple(self, out: Output) -> None:
        out.line(self._text)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)


class AuthStatusView(MessageView):
    """`auth status`."""

    message: AuthStatusResponse

    def simple(self, out: Output) -> None:
        out.line(f"Authentication Status: {'true' if self.message.enabled else 'false'}")
        out.line(f"AuthRevision: {self.message.authRevision}")


class UserView(MessageView):
    """`user get`."""

    message: AuthUserGetResponse

    def __init__(self, message: AuthUserGetResponse, name: str) -> None:
        super().__init__(message)
        self._name = name

    def simple(self, out: Output) -> None:
        out.line(f"User: {self._name}")
        out.line("Roles:" + "".join(f" {role}" for role in self.message.roles))


class UserListView(MessageView):
    """`user list`."""

    message: AuthUserListResponse

    def simple(self, out: Output) -> None:
        for user in self.message.users:
            out.line(user)


class RoleListView(MessageView):
    """`role list`."""

    message: AuthRoleListResponse

    def simple(self, out: Output) -> None:
        for role in self.message.roles:
            out.line(role)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        out.line('"Roles" :' + "".join(f" {quote(role)}" for role in self.message.roles))


class RoleView(MessageView):
    """`role get`."""

    message: AuthRoleGetResponse

    def __init__(self, message: AuthRoleGetResponse, name: str) -> None:
        super().__init__(message)
        self._name = name

    def simple(self, out: Output) -> None:
        out.line(f"Role {self._name}")
        for title, kinds in (("KV Read:", _READS), ("KV Write:", _WRITES)):
            out.line(title)
            for text in self._keys(kinds):
                out.line(b"\t" + text)

    def _keys(self, kinds: tuple[Permission.Type, ...]) -> Iterator[bytes]:
        if self._name == "root" and not self.message.perm:
            yield b"[, <open ended>"
        for permission in self.message.perm:
            if permission.permType in kinds:
                yield _range(permission)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        for permission in self.message.perm:
            out.line(f'"PermType" :  {Permission.Type.Name(permission.permType)}')
            out.line(f'"Key" : {quote(permission.key)}')
            out.line(f'"RangeEnd" : {quote(permission.range_end)}')


def _range(permission: Permission) -> bytes:
    key, end = permission.key, permission.range_end
    if not end:
        return key
    text = b"[%s, <open ended>" % key if end == _OPEN_END else b"[%s, %s)" % (key, end)
    if key and prefix_end(key) == end:
        text += b" (prefix %s)" % key
    return text
