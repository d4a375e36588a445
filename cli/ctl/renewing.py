"""Keeping a lease alive, with every answer shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import trio

from ...client.client import Client
from ...client.contract import ChannelStream
from ...client.errors import Unreachable
from ...errors import Code, EtcdError
from ...rpc.pb.rpc_pb2 import LeaseKeepAliveRequest, LeaseKeepAliveResponse
from .waiting import say_why

__all__ = ["renew"]

PAUSE_SECONDS: Final = 0.5


async def renew(
    client: Client,
    request: LeaseKeepAliveRequest,
    show: Callable[[LeaseKeepAliveResponse], None],
    *,
    once: bool,
) -> bool:
    """Renew a lease at every third of its life, across losses of the connection.

    Args:
        client: whom to ask.
        request: the request for one renewal.
        show: called with every answer of a lease that lives.
        once: renew it once.

    Returns:
        True: it was renewed once. False: it is no more, or cannot have outlived the silence.

    Raises:
        EtcdError: the server refuses.
    """
    deadline = math.inf
    said: set[str] = set()
    while trio.current_time() < deadline:
        try:
            with trio.move_on_at(deadline):
                async with client.stream("Lease/LeaseKeepAlive") as stream:
                    while (answer := await _ask(stream, request)) is not None:
                        if answer.TTL <= 0:
                            return False
                        show(answer)
                        if once:
                            return True
                        deadline = trio.current_time() + answer.TTL
                        await trio.sleep(max(answer.TTL / 3, PAUSE_SECONDS))
        except Unreachable as error:
            say_why(error.reasons, said)
        except EtcdError as error:
            if error.status != Code.UNAVAILABLE:
                raise
        await trio.sleep(PAUSE_SECONDS)
    return False


async def _ask(
    stream: ChannelStream, request: LeaseKeepAliveRequest
) -> LeaseKeepAliveResponse | None:
    await stream.send(request.SerializeToString())
    data = await stream.receive()
    return None if data is None else LeaseKeepAliveResponse.FromString(data)
