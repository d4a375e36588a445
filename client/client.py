"""The client, put together: each group of calls lives in a module of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from .admin import AdminCalls
from .autosync import keep_synced, sync
from .block_nursery import block_nursery
from .call import NO_METADATA, REQUIRE_LEADER
from .channel import SocketChannel
from .connection import ConnectionOptions
from .contract import Channel
from .endpoints import DEFAULT_ENDPOINT
from .keys import KeyLike
from .namespace import ROOT, Namespace
from .recipe_calls import RecipeCalls
from .retry import ATTEMPTS_MAX
from .tls import TLS

__all__ = ["Client", "connect", "opened"]

KEEPALIVE_SECONDS_MIN = 10.0


class Client(RecipeCalls, AdminCalls):
    """A client of an etcd cluster, real or ours, over sockets or in the same program.

    Made by `triode.connect` and `node.client()`. Any number of tasks may use one client. Keys and values are bytes or
    str; where a range of keys is meant, `prefix`, `from_key`, `key_range` and `ALL_KEYS` select one. Deadlines
    are Trio's: `with trio.fail_after(2): await client.get("k")`.
    """

    def namespace(self, prefix: KeyLike) -> Self:
        """The same client for the keys below `prefix`, which it neither takes nor shows. Nests."""
        return self._like_this(self.keyspace.inner(prefix), require_leader=False)

    def requiring_leader(self) -> Self:
        """The same client, whose calls are refused by a member that sees no leader (NoLeader)."""
        return self._like_this(self.keyspace, require_leader=True)

    async def sync(self) -> tuple[str, ...]:
        """Take the members' client URLs as endpoints from now on, and return them.

        Members advertise how they think they are reached: behind a proxy or in another network that may be wrong.
        A client in a node's own program keeps to its node.
        """
        return await sync(self)

    def _like_this(self, keyspace: Namespace, *, require_leader: bool) -> Self:
        metadata = {**self.metadata, **(REQUIRE_LEADER if require_leader else NO_METADATA)}
        return type(self)(
            self.channel,
            self.nursery,
            keyspace=keyspace,
            metadata=metadata,
            streams=self.streams,
        )


@asynccontextmanager
async def connect(
    *endpoints: str,
    tls: TLS | None = None,
    user: str | None = None,
    password: str = "",
    dial_timeout: float = 2.0,
    keepalive_time: float = 10.0,
    keepalive_timeout: float = 10.0,
    permit_without_stream: bool = False,
    max_send_bytes: int = 2 << 20,
    max_receive_bytes: int = 2**31 - 1,
    namespace: KeyLike = b"",
    require_leader: bool = False,
    auto_sync_interval: float = 0.0,
    attempts_max: int = ATTEMPTS_MAX,
) -> AsyncIterator[Client]:
    """A client over sockets, for the length of the block. It dials when the first call is made.

    Args:
        endpoints: `host:port`, `http://…`, `https://…`, `unix:…`, `unixs:…`; none: 127.0.0.1:2379.
        tls: how to trust and be trusted; needed by https with certificates of one's own.
        user: who logs in; None: nobody.
        password: the user's.
        dial_timeout: how long one attempt at an endpoint may take, and how long a call waits for any endpoint to be
            connected, in seconds; 0: as long as the caller's deadline.
        keepalive_time: after so many seconds of silence, while calls wait, the server is pinged; 0: never. A shorter
            time is raised to 10 s, as in Go's clients: etcd closes connections that ping more often than every 5 s.
        keepalive_timeout: how long the answer may take, in seconds.
        permit_without_stream: ping while no call waits, too; etcd does not like it.
        max_send_bytes: the largest request.
        max_receive_bytes: the largest response.
        namespace: see `Client.namespace`.
        require_leader: see `Client.requiring_leader`.
        auto_sync_interval: do what `Client.sync` does every so many seconds; 0: never.
        attempts_max: how often one call is made at most, where it can be repeated.

    Raises:
        EndpointError: an endpoint or a TLS file cannot be used.
    """
    options = ConnectionOptions(
        dial_timeout=dial_timeout,
        keepalive_time=keepalive_time and max(keepalive_time, KEEPALIVE_SECONDS_MIN),
        keepalive_timeout=keepalive_timeout,
        permit_without_stream=permit_without_stream,
        max_send_bytes=max_send_bytes,
        max_receive_bytes=max_receive_bytes,
    )
    async with block_nursery() as nursery:
        channel = SocketChannel(
            endpoints or (DEFAULT_ENDPOINT,),
            nursery,
            tls=tls,
            options=options,
            user=user,
            password=password,
            attempts_max=attempts_max,
        )
        try:
            client = Client(
                channel,
                nursery,
                keyspace=ROOT.inner(namespace),
                metadata=REQUIRE_LEADER if require_leader else NO_METADATA,
            )
            if auto_sync_interval > 0:
                nursery.start_soon(keep_synced, client, auto_sync_interval)
            yield client
        finally:
            channel.close()


@asynccontextmanager
async def opened(channel: Channel) -> AsyncIterator[Client]:
    """A client over a channel that somebody else has made, for the length of the block."""
    async with block_nursery() as nursery:
        yield Client(channel, nursery)
