"""The border between the client's API and what carries its calls.

A `Channel` is a set of endpoints of one cluster. Over sockets it balances, reconnects, retries and logs in; in
process it hands the calls to a node's dispatcher. Everything above it (`Client`, watches, leases, recipes) sees
no difference, and nothing above it knows of sockets.

Messages cross the border encoded: the layer above knows their types, and a socket needs only their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ..rpc.methods import Method

__all__ = ["Channel", "ChannelStream", "Metadata"]

Metadata = Mapping[str, str]
"""What goes along with a call, as gRPC metadata: `{"hasleader": "true"}`."""


class ChannelStream(Protocol):
    """Both halves of one streaming call."""

    @property
    def endpoint(self) -> str:
        """Which endpoint serves it."""

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the server takes no more."""

    async def half_close(self) -> None:
        """Say that no more messages come."""

    async def receive(self) -> bytes | None:
        """The next message, or None when the server has ended the call with OK.

        Raises:
            EtcdError: the call failed, or the connection was lost (Unavailable).
        """


class Channel(Protocol):
    """Calls to a cluster. Any number of tasks may use one channel."""

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that calls are spread over, as they were given."""

    async def unary(
        self,
        method: Method,
        request: bytes,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> bytes:
        """Make a unary call and return the encoded response.

        It is retried by clientv3's rules (reads on Unavailable, writes only when surely not sent). A deadline is
        the caller's cancel scope; what is left of it is sent along as `grpc-timeout`.

        Args:
            method: which RPC.
            request: the encoded request.
            metadata: sent along.
            endpoint: ask this endpoint and no other, even one that is not among `endpoints`.

        Raises:
            EtcdError: what the server answered, by class; or Unavailable when no endpoint could be reached.
        """

    def stream(
        self,
        method: Method,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> AbstractAsyncContextManager[ChannelStream]:
        """A streaming call that ends with the block. Opening is not retried beyond finding an endpoint."""
