"""Who the client is: a user's token, fetched when it is first needed and again when the server wants another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ..errors import AuthNotEnabled, AuthOldRevision, EtcdError, InvalidAuthToken, UserEmpty
from ..rpc.pb.rpc_pb2 import AuthenticateRequest, AuthenticateResponse

__all__ = ["AUTHENTICATE", "Credentials", "wants_login"]

AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"
_STALE = (InvalidAuthToken, AuthOldRevision, UserEmpty)


def wants_login(error: EtcdError) -> bool:
    """The server does not know the token (any more): the call was not carried out."""
    return isinstance(error, _STALE)


class Credentials:
    """One user's login, shared by all calls of a channel.

    Args:
        user: the name.
        password: in clear; it is sent as it is, so use TLS.
        authenticate: makes an `Authenticate` call: encoded request in, encoded response out.

    Attributes:
        token: None before the first login; "" when the server asks for none.
    """

    def __init__(
        self, user: str, password: str, authenticate: Callable[[bytes], Awaitable[bytes]]
    ) -> None:
        self._request = AuthenticateRequest(name=user, password=password).SerializeToString()
        self._authenticate = authenticate
        self._turn = trio.Lock()
        self.token: str | None = None

    async def login(self) -> str:
        """The token; fetched if there is none. Many calls that need one share one login.

        Raises:
            EtcdError: the server does not let us in.
        """
        async with self._turn:
            if self.token is None:
                try:
                    answer = await self._authenticate(self._request)
                    self.token = AuthenticateResponse.FromString(answer).token
                except AuthNotEnabled:
                    self.token = ""
            return self.token

    def forget(self, token: str | None) -> None:
        """The server does not take `token` any more; one fetched since then stays."""
        if token is not None and self.token == token:
            self.token = None
