"""A client as the global flags say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from ...client.channel import SocketChannel
from ...client.client import Client
from ...client.client import connect as open_client
from ...errors import EtcdError
from ..common.errors import complain
from ..common.exits import BAD_CONNECTION, Failure
from ..common.flags import FlagValues
from .failures import error_text
from .trust import login_of, tls_of
from .waiting import DEADLINE_TEXT, patiently

__all__ = ["bounds_of", "connect", "options_of"]

SEND_BYTES: Final = 2 << 20
RECEIVE_BYTES: Final = 2**31 - 1
DIAL_SHARE: Final = 0.8  # of the command's time, so that it can still say what is wrong


@asynccontextmanager
async def connect(flags: FlagValues, **changes: Any) -> AsyncIterator[Client]:
    """Open a client, logged in, for the length of the block.

    Args:
        flags: the global flags, complete.
        changes: override arguments of `triode.connect`; `endpoints` is a sequence.

    Raises:
        Failure: a flag is wrong (128), or the user is not let in (2).
    """
    options = {**options_of(flags), **changes}
    endpoints = options.pop("endpoints", None) or await _endpoints(flags)
    dial_seconds = flags.seconds("dial-timeout")
    async with open_client(*endpoints, **options) as client:
        if options.get("user"):
            await _log_in(client, dial_seconds)
        yield client


async def _log_in(client: Client, seconds: float) -> None:
    """Log in before anything else, as etcdctl does: its exit code says that it was this which failed."""
    import trio

    try:
        with trio.fail_after(seconds):
            assert isinstance(client.channel, SocketChannel)
            await patiently(client.channel.login, set())
    except trio.TooSlowError:
        raise Failure(DEADLINE_TEXT, BAD_CONNECTION) from None
    except EtcdError as error:
        raise Failure(error_text(error), BAD_CONNECTION) from None


def options_of(flags: FlagValues) -> dict[str, Any]:
    """The arguments of `triode.connect`, but for the endpoints. Raises Failure."""
    user, password = login_of(flags)
    options = {"tls": tls_of(flags), **bounds_of(flags)}
    if user and password:  # without a password there is no login, as with Go's client
        options.update(user=user, password=password)
    return options


def bounds_of(flags: FlagValues) -> dict[str, Any]:
    """Those of them that are times and sizes."""
    dial = min(flags.seconds("dial-timeout"), flags.seconds("command-timeout") * DIAL_SHARE)
    return {
        "dial_timeout": max(dial, 0.001),
        "keepalive_time": flags.seconds("keepalive-time"),
        "keepalive_timeout": flags.seconds("keepalive-timeout"),
        "max_send_bytes": flags.number("max-request-bytes") or SEND_BYTES,
        "max_receive_bytes": flags.number("max-recv-bytes") or RECEIVE_BYTES,
    }


async def _endpoints(flags: FlagValues) -> list[str]:
    domain = flags.text("discovery-srv")
    if domain:
        from .srv import client_endpoints

        found = await client_endpoints(domain, flags.text("discovery-srv-name"))
        if not flags.switch("insecure-discovery"):
            for endpoint in found:
                if endpoint.startswith("http://"):
                    complain(f'ignoring discovered insecure endpoint "{endpoint}"', prefix="")
            found = [each for each in found if not each.startswith("http://")]
        if found:
            return found
    given = [each.strip() for each in flags.texts("endpoints") if each.strip()]
    if not given:
        raise Failure("etcdclient: no available endpoints", BAD_CONNECTION)
    return given
