"""Who the client is: a user's token, fetched when it is first needed and again when the server wants another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from ..errors import AuthNotEnabled, AuthOldRevision, EtcdError, InvalidAuthToken, UserEmpty
from ..rpc.pb.rpc_pb2 import AuthenticateRequest, AuthenticateResponse

__all__ = ["AUTHENTICATE", "Credentials", "wants_login"]

AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"
_STALE = (InvalidAuthToken, AuthOldRevision, UserEmpty)


def wants_login(error: EtcdError) -> bool:
    """The server does not know the token (any more): the call was not carried out."""
    return isinstance(error, _STALE)


@attrs.define(eq=False)
class _Attempt:
    """A login that is under way, and how it ended; None: with a token, or its caller was cancelled."""

    over: trio.Event = attrs.Factory(trio.Event)
    error: EtcdError | None = None


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
        self._attempt: _Attempt | None = None
        self.token: str | None = None

    async def login(self) -> str:
        """The token; fetched if there is none. Many calls that need one share one login, and its failure.

        Raises:
            EtcdError: the server does not let us in.
        """
        while self.token is None:
            attempt = self._attempt
            if attempt is None:
                await self._log_in()
                continue
            await attempt.over.wait()
            if attempt.error is not None:
                raise attempt.error
        return self.token

    async def _log_in(self) -> None:
        attempt = self._attempt = _Attempt()
        try:
            answer = await self._authenticate(self._request)
            self.token = AuthenticateResponse.FromString(answer).token
        except AuthNotEnabled:
            self.token = ""
        except EtcdError as error:
            attempt.error = error
            raise
        finally:  # also when it was cancelled: one of those who waited tries next
            self._attempt = None
            attempt.over.set()

    def forget(self, token: str | None) -> None:
        """The server does not take `token` any more; one fetched since then stays."""
        if token is not None and self.token == token:
            self.token = None
