"""The endpoints of a client, as the cluster's member list has them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from ..errors import EtcdError
from .channel import SocketChannel
from .errors import EndpointError

if TYPE_CHECKING:
    from .client import Client

__all__ = ["keep_synced", "sync"]

log = logging.getLogger("triode.client")


async def sync(client: Client) -> tuple[str, ...]:
    """Spread calls over all members that serve clients from now on; returns the endpoints.

    Learners and members that have not started are left out; if nobody is left, nothing changes.

    Raises:
        EtcdError: the members could not be asked.
        EndpointError: a member advertises what is no endpoint.
    """
    channel = client.channel
    if not isinstance(channel, SocketChannel):
        return channel.endpoints
    members = await client.cluster.members()
    urls = [url for one in members if one.name and not one.isLearner for url in one.clientURLs]
    if urls and set(urls) != set(channel.endpoints):
        channel.set_endpoints(tuple(dict.fromkeys(urls)))
    return channel.endpoints


async def keep_synced(client: Client, interval_seconds: float) -> None:
    """Sync again and again; a failure is logged, and the next attempt made in its time."""
    while True:
        await trio.sleep(interval_seconds)
        try:
            with trio.move_on_after(interval_seconds):
                await sync(client)
        except (EtcdError, EndpointError) as error:
            log.warning("the endpoints could not be read from the member list: %s", error)
