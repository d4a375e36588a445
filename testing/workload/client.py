"""A client that records: requests as records in, operations as records out, whatever the transport.

It asks once and never again, because a request that is repeated after an unknown end may be executed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Protocol

import attrs
import trio

from ...errors import (
    Code,
    Compacted,
    Corrupt,
    EtcdError,
    FutureRev,
    KeyNotFound,
    LeaseExist,
    LeaseNotFound,
    NoSpace,
    RequestTimeout,
    TooManyRequests,
)
from ..checkers import requests as r
from ..checkers.history import Operation
from .messages import METHODS, answer_of, message_of
from .recorder import Recorder

__all__ = ["Endpoint", "Endpoints", "LossyEndpoint", "RecordingClient", "Stream"]

REPLY_SECONDS_MAX = 3.0
EXECUTED = (Compacted, FutureRev, KeyNotFound, LeaseExist, LeaseNotFound)
REFUSED = (Corrupt, NoSpace, TooManyRequests)  # before or instead of their execution
REFUSED_CODES = (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.FAILED_PRECONDITION)


class Stream(Protocol):
    """A streaming call. `receive` may be cancelled without losing a message."""

    async def send(self, message: Any, /) -> None: ...
    async def receive(self) -> Any: ...


class Endpoint(Protocol):
    """A member as a client sees it: `LocalClient`, or one that speaks gRPC."""

    async def call(self, method: str, request: Any, /) -> Any: ...
    def stream(self, method: str, /) -> AbstractAsyncContextManager[Stream]: ...


Endpoints = Callable[[], tuple[int, Endpoint]]
"""Chooses whom to ask next: a number by which to tell members apart, and the way there."""


class LossyEndpoint:
    """An endpoint behind a network that loses requests and answers of unary calls.

    Args:
        request_loss: the share of requests that never arrive.
        answer_loss: the share of answers that never do.
    """

    def __init__(
        self, endpoint: Endpoint, random: Random, *, request_loss: float, answer_loss: float
    ) -> None:
        self._endpoint = endpoint
        self._random = random
        self._request_loss = request_loss
        self._answer_loss = answer_loss

    async def call(self, method: str, request: Any, /) -> Any:
        """As the endpoint's, if the network allows; else a RequestTimeout, of which one learns nothing."""
        luck = self._random.random()
        if luck < self._request_loss:
            await trio.lowlevel.checkpoint()
            raise RequestTimeout
        answer = await self._endpoint.call(method, request)
        if luck < self._request_loss + self._answer_loss:
            raise RequestTimeout
        return answer

    def stream(self, method: str, /) -> AbstractAsyncContextManager[Stream]:
        """As the endpoint's."""
        return self._endpoint.stream(method)


class RecordingClient:
    """One client, which makes one call after the other.

    Args:
        recorder: where its operations go.
        endpoints: whom it asks.
        reply_seconds_max: how long it waits for an answer.
    """

    def __init__(
        self,
        recorder: Recorder,
        endpoints: Endpoints,
        *,
        reply_seconds_max: float = REPLY_SECONDS_MAX,
    ) -> None:
        self.number = recorder.new_client()
        self.answered = 0
        self._recorder = recorder
        self._endpoints = endpoints
        self._reply_seconds_max = reply_seconds_max

    async def do(self, request: r.Request, endpoint: Endpoint | None = None) -> Operation:
        """Make a call and record it; never raises what the server or the network does."""
        member = 0
        if endpoint is None:
            member, endpoint = self._endpoints()
        op = Operation(self.number, request, self._recorder.stamp(), member=member)
        try:
            op = await self._ask(op, endpoint)
        except EtcdError as error:
            op = self._failed(op, error)
        except trio.Cancelled:
            self._recorder.add(attrs.evolve(op, error="cancelled"))
            raise
        self._recorder.add(op)
        if op.known:
            self.answered += 1
        else:
            self.number = self._recorder.new_client()
        return op

    async def _ask(self, op: Operation, endpoint: Endpoint) -> Operation:
        with trio.move_on_after(self._reply_seconds_max):
            message = await _exchange(op.request, endpoint)
            return attrs.evolve(
                op,
                returned=self._recorder.stamp(),
                response=answer_of(op.request, message),
                revision=message.header.revision,
            )
        return attrs.evolve(op, error="no answer in time")

    def _failed(self, op: Operation, error: EtcdError) -> Operation:
        """What an error says of the request."""
        text = error.message
        if text in {kind.text for kind in EXECUTED}:
            return attrs.evolve(op, returned=self._recorder.stamp(), response=r.Refused(text))
        surely = text in {kind.text for kind in REFUSED} or error.status in REFUSED_CODES
        return attrs.evolve(op, error=text, failed=surely)


async def _exchange(request: r.Request, endpoint: Endpoint) -> Any:
    method, message = METHODS[type(request)], message_of(request)
    if not isinstance(request, r.KeepAlive):
        return await endpoint.call(method, message)
    async with endpoint.stream(method) as stream:
        await stream.send(message)
        try:
            return await stream.receive()
        except trio.EndOfChannel:
            raise RequestTimeout from None
