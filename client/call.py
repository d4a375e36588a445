"""The raw door: a call by name, with the messages of `triode.rpc.pb`. Everything else of the client goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, Final

import trio
from google.protobuf.message import Message

from ..rpc.methods import METHODS, Method
from .contract import Channel, ChannelStream, Metadata
from .namespace import ROOT, Namespace
from .streams import Streams

__all__ = ["METHODS_BY_NAME", "NO_METADATA", "REQUIRE_LEADER", "Caller", "find_method"]

METHODS_BY_NAME: Final[Mapping[str, Method]] = MappingProxyType(
    {f"{one.service.rpartition('.')[2]}/{one.name}": one for one in METHODS.values()}
)
"""RPCs by service and name: "KV/Put"."""
NO_METADATA: Final[Metadata] = MappingProxyType({})
REQUIRE_LEADER: Final[Metadata] = MappingProxyType({"hasleader": "true"})
"""Metadata of calls that a member without a leader is to refuse."""


def find_method(name: str) -> Method:
    """The RPC of a name as "KV/Put" or "/etcdserverpb.KV/Put"; raises LookupError."""
    found = METHODS_BY_NAME.get(name) or METHODS.get(name)
    if found is None:
        raise LookupError(f"there is no method {name!r}")
    return found


class Caller:
    """What every part of the client needs: a channel, a namespace, and where to run what goes on by itself.

    Attributes:
        channel: carries the calls.
        nursery: for tasks that live as long as the client.
        keyspace: how keys are mapped; the identity unless made by `namespace`.
        metadata: sent along with every call.
        streams: what goes on in the background, shared with the clients that are made from this one.
    """

    def __init__(
        self,
        channel: Channel,
        nursery: trio.Nursery,
        *,
        keyspace: Namespace = ROOT,
        metadata: Metadata = NO_METADATA,
        streams: Streams | None = None,
    ) -> None:
        self.channel = channel
        self.nursery = nursery
        self.keyspace = keyspace
        self.metadata = metadata
        self.streams = streams or Streams(channel, nursery)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that calls are spread over."""
        return self.channel.endpoints

    async def call(
        self,
        method: str,
        request: Message,
        *,
        endpoint: str | None = None,
        metadata: Metadata | None = None,
    ) -> Any:
        """Make a unary call and return its decoded response. Keys are sent and returned as they are.

        Args:
            method: "KV/Put", or in full "/etcdserverpb.KV/Put".
            request: a message of the method's request type.
            endpoint: ask this endpoint and no other.
            metadata: sent along, beside the client's own.

        Raises:
            EtcdError: what the server answered, or Unavailable when it could not be asked.
            LookupError: there is no such unary method.
        """
        found = METHODS_BY_NAME.get(method) or find_method(method)
        if not found.unary:
            raise LookupError(f"{found.path} is a streaming method: use `stream`")
        answer = await self.channel.unary(
            found,
            request.SerializeToString(),
            metadata=self._metadata(metadata) if metadata else self.metadata or None,
            endpoint=endpoint,
        )
        return found.response.FromString(answer)

    def stream(
        self, method: str, *, endpoint: str | None = None, metadata: Metadata | None = None
    ) -> AbstractAsyncContextManager[ChannelStream]:
        """A streaming call that ends with the block; its messages are encoded ones.

        Raises:
            LookupError: there is no such method.
        """
        return self.channel.stream(
            find_method(method), metadata=self._metadata(metadata), endpoint=endpoint
        )

    def _metadata(self, more: Metadata | None) -> Metadata | None:
        if not more:
            return self.metadata or None
        return {**self.metadata, **more}
