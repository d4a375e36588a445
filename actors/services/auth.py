"""Auth, as far as a node without users can answer it: it is off, and nobody can log in.

The RPCs that would change that are not served yet; see docs/differences.md.
"""

from __future__ import annotations

from ...errors import AuthNotEnabled
from ...protowire import int_field
from ..call import Call
from ..context import NodeContext

__all__ = ["AuthService"]

FIRST_AUTH_REVISION = 1


class AuthService:
    """etcdserverpb.Auth."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node

    def status(self, message: bytes, call: Call) -> None:
        """AuthStatus: not enabled; the auth store is at its first revision."""
        del message
        header = self._node.header.framed(self._node.store.revision)
        call.answer(header + int_field(3, FIRST_AUTH_REVISION))

    def authenticate(self, message: bytes, call: Call) -> None:
        """Authenticate: there is nothing to log in to."""
        del message, call
        raise AuthNotEnabled
