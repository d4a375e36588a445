"""A client that watches a range for ever: it follows from member to member, and misses nothing."""

from __future__ import annotations

from random import Random

import attrs
import trio

from ...errors import EtcdError
from ...rpc.pb.rpc_pb2 import WatchProgressRequest
from ...rpc.pb.rpc_pb2 import WatchRequest as WatchMessage
from ..checkers.history import Watch, WatchRequest, WatchResponse
from .client import Endpoints, Stream
from .messages import watch_message, watch_response
from .recorder import Recorder

__all__ = ["Watcher"]

PROGRESS = WatchMessage(progress_request=WatchProgressRequest())
AGAIN_SECONDS = 0.1
SETTLING_SECONDS = 0.3


class Watcher:
    """Watches until cancelled, each watch from where the last one ended.

    Args:
        recorder: where its watches go.
        endpoints: whom it asks, anew for each watch.
        random: how long it stays, and when it asks for progress.
        request: what it watches, with its start.
        stay_seconds: the mean time after which it moves to another member.
    """

    def __init__(
        self,
        recorder: Recorder,
        endpoints: Endpoints,
        random: Random,
        request: WatchRequest,
        *,
        stay_seconds: float = 4.0,
    ) -> None:
        self.number = recorder.new_client()
        self.next_revision = request.start_revision
        self._recorder = recorder
        self._endpoints = endpoints
        self._random = random
        self._request = request
        self._stay_seconds = stay_seconds
        self._goal = 0
        self._settled = trio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            member, endpoint = self._endpoints()
            request = attrs.evolve(self._request, start_revision=self.next_revision)
            watch = Watch(self.number, request, self._recorder.stamp(), member)
            self._recorder.add_watch(watch)
            try:
                async with endpoint.stream("Watch/Watch") as stream:
                    await stream.send(watch_message(request))
                    await self._follow(watch, stream)
            except (EtcdError, trio.EndOfChannel):
                pass
            await trio.sleep(AGAIN_SECONDS)

    async def settle(self, revision: int) -> None:
        """Return when a watch has told everything up to a revision; from now on it does not move."""
        self._goal = revision
        await self._settled.wait()

    async def _follow(self, watch: Watch, stream: Stream) -> None:
        """Record what a watch says, until it ends or it is time to move."""
        leave = trio.current_time() + self._random.expovariate(1 / self._stay_seconds)
        while self._goal or trio.current_time() < leave:
            if 0 < self._goal < self.next_revision:  # this watch has told all, or those before it
                watch.settled = self._goal
                self._settled.set()
            pause = SETTLING_SECONDS if self._goal else self._random.uniform(0.1, 1.0)
            message = None
            with trio.move_on_after(pause):
                message = await stream.receive()
            if message is None:
                if self._goal or self._random.random() < 0.3:
                    await stream.send(PROGRESS)
                continue
            response = watch_response(message, self._recorder.stamp())
            watch.responses.append(response)
            self._advance(response)
            if response.canceled:
                return

    def _advance(self, response: WatchResponse) -> None:
        """Where the next watch has to begin."""
        if response.canceled:
            if response.compact_revision:
                self.next_revision = response.compact_revision
        elif response.events and not response.fragment:
            self.next_revision = response.events[-1].kv.mod_revision + 1
        elif response.progress or (response.created and not self.next_revision):
            self.next_revision = response.revision + 1
