"""`client.lease`, and the calls about leases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from ..errors import LeaseNotFound, Stopped
from ..rpc.pb.rpc_pb2 import (
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from .call import Caller
from .lease import Lease, granted, held, kept

__all__ = ["LeaseCalls"]


class LeaseCalls(Caller):
    """The part of a client that is about leases."""

    def lease(
        self, ttl: float, *, lease_id: int = 0, revoke: bool = True
    ) -> AbstractAsyncContextManager[Lease]:
        """A lease for a block: `async with client.lease(10) as lease: await client.put(k, v, lease=lease.id)`.

        It is kept alive while the block runs. When it is lost all the same (it was revoked, or no server has
        renewed it for the length of its life), the block is cancelled at once and LeaseLost raised.

        Args:
            ttl: how long it outlives this program, in seconds; a server raises it to its minimum (`lease.ttl`).
            lease_id: its number; 0: the server chooses.
            revoke: revoke it at the end of the block, so that its keys go at once; False: they go when it runs out.

        Raises:
            LeaseExist: the number is taken.
            LeaseLost: see above.
        """
        return held(self, self.streams.leases, ttl, lease_id=lease_id, revoke=revoke)

    @asynccontextmanager
    async def keep_alive(self, lease_id: int) -> AsyncIterator[Lease]:
        """Keep a lease alive for a block that somebody has granted; it is not revoked at the end.

        Raises:
            LeaseNotFound: there is no such lease.
            LeaseLost: as in `lease`.
        """
        sent = trio.current_time()
        answer = await self.keep_alive_once(lease_id)
        lease = Lease(lease_id, answer.TTL, sent + answer.TTL)
        async with kept(self.streams.leases, lease):
            yield lease

    async def grant(self, ttl: float, *, lease_id: int = 0) -> LeaseGrantResponse:
        """Make a lease that runs out by itself, `response.TTL` seconds from now.

        Raises:
            LeaseExist: the number is taken.
            LeaseTTLTooLarge: more than 9 000 000 000 seconds.
        """
        response: LeaseGrantResponse = await self.call("Lease/LeaseGrant", granted(ttl, lease_id))
        return response

    async def revoke(self, lease_id: int) -> LeaseRevokeResponse:
        """End a lease, and delete its keys. Raises LeaseNotFound."""
        response: LeaseRevokeResponse = await self.call(
            "Lease/LeaseRevoke", LeaseRevokeRequest(ID=lease_id)
        )
        return response

    async def time_to_live(self, lease_id: int, *, keys: bool = False) -> LeaseTimeToLiveResponse:
        """How long a lease still lives (`TTL`, -1 if there is none), of how long (`grantedTTL`), with which keys.

        In a namespace, keys outside of it are left out.
        """
        response: LeaseTimeToLiveResponse = await self.call(
            "Lease/LeaseTimeToLive", LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
        )
        prefix = self.keyspace.prefix
        if prefix:
            mine = [self.keyspace.local(key) for key in response.keys if key.startswith(prefix)]
            del response.keys[:]
            response.keys.extend(mine)
        return response

    async def keep_alive_once(self, lease_id: int) -> LeaseKeepAliveResponse:
        """Renew a lease, once. Raises LeaseNotFound."""
        async with self.stream("Lease/LeaseKeepAlive") as stream:
            await stream.send(LeaseKeepAliveRequest(ID=lease_id).SerializeToString())
            data = await stream.receive()
        if data is None:
            raise Stopped
        response = LeaseKeepAliveResponse.FromString(data)
        if response.TTL <= 0:
            raise LeaseNotFound
        return response

    async def leases(self) -> LeaseLeasesResponse:
        """The leases that the member which answers knows of."""
        response: LeaseLeasesResponse = await self.call("Lease/LeaseLeases", LeaseLeasesRequest())
        return response
