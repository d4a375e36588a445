"""One Watch call that several watches share, and that is made anew whenever it is lost.

The reader takes one response after the other and puts each into its watch's buffer. When a buffer is full it reads
no more, and the flow control of HTTP/2 holds the server back. So that one slow user does not hold up the others
for ever, a watch whose buffer stays full for `STALL_SECONDS_MAX` goes on alone, on a stream of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from ..errors import (
    AuthOldRevision,
    Code,
    EtcdError,
    InvalidAuthToken,
    PermissionDenied,
    WatchCanceled,
    by_text,
)
from ..rpc.methods import METHODS
from ..rpc.pb.rpc_pb2 import (
    RangeRequest,
    WatchCancelRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from .contract import Channel, ChannelStream, Metadata
from .errors import ClientClosed, ConnectionLost, UntrustedServer
from .watch import TURN_RESPONSES_MAX, Watch

__all__ = ["STALL_SECONDS_MAX", "WatchStream", "lasting"]

STALL_SECONDS_MAX = 1.0
OPEN_SECONDS_MAX = 5.0  # then another endpoint may do better
CREATES_IN_FLIGHT_MAX = 64  # a server holds few answers back for a client that does not read
LOGIN_ATTEMPTS_MAX = 3
STEADY_SECONDS: Final = 1.0  # a call that lived longer is made again at once
# Before the call is made again; then the last.
PAUSE_SECONDS: Final = (0.0, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
METHOD: Final = METHODS["/etcdserverpb.Watch/Watch"]
_RANGE: Final = METHODS["/etcdserverpb.KV/Range"]
_STALE_LOGIN = (InvalidAuthToken, AuthOldRevision)


class WatchStream:
    """See above.

    Args:
        channel: who makes the call.
        metadata: what goes along with it.
        move_out: told of a watch that is to go on alone, and of the metadata; it is off this stream by then.

    Attributes:
        watches: those that it carries, in the order in which they came.
        closed: it carries none any more and ends, so none can be added.
        stalled: it waits for the only one that it carries: none should be added.
    """

    def __init__(
        self,
        channel: Channel,
        metadata: Metadata,
        move_out: Callable[[Watch, Metadata], None],
    ) -> None:
        self.watches: dict[Watch, None] = {}
        self.closed = False
        self.stalled = False
        self._channel = channel
        self._metadata = metadata
        self._move_out = move_out
        self._scope = trio.CancelScope()
        self._by_id: dict[int, Watch] = {}
        self._to_create: deque[Watch] = deque()
        self._creating: deque[Watch] = deque()
        self._requests: deque[WatchRequest] = deque()
        self._wake = trio.Event()
        self._failures = 0
        self._logins = 0

    # --- watches come and go --------------------------------------------------------------------

    def add(self, watch: Watch) -> None:
        """Carry one more."""
        assert not self.closed
        self.watches[watch] = None
        watch.stream = self
        self._to_create.append(watch)
        self._wake.set()

    def remove(self, watch: Watch) -> None:
        """Carry it no more; the last one ends the call."""
        if watch not in self.watches:
            return
        del self.watches[watch]
        watch.stream = None
        if not self.watches:
            self.closed = True
            self._scope.cancel()
        elif watch.id is not None:
            self._cancel(watch.id)
        watch.id = None

    def request_progress(self) -> None:
        self._send(WatchRequest(progress_request=WatchProgressRequest()))

    def _cancel(self, watch_id: int) -> None:
        self._by_id.pop(watch_id, None)
        self._send(WatchRequest(cancel_request=WatchCancelRequest(watch_id=watch_id)))

    def _send(self, request: WatchRequest) -> None:
        self._requests.append(request)
        self._wake.set()

    # --- the call -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make the call as often as it takes, until there is no watch left."""
        try:
            with self._scope:
                await self._repeat()
        finally:
            self._fail(ClientClosed())  # those that are left outlive the client's block
            self.closed = True

    async def _repeat(self) -> None:
        while self.watches:
            await trio.sleep(PAUSE_SECONDS[min(self._failures, len(PAUSE_SECONDS) - 1)])
            self._failures += 1
            error = await self._call()
            if isinstance(error, _STALE_LOGIN) and self._logins < LOGIN_ATTEMPTS_MAX:
                self._logins += 1
                await self._log_in_again()
            elif error is not None and not lasting(error):
                self._fail(error)

    async def _call(self) -> EtcdError | None:
        """Make the call once, to its end: how it ended."""
        try:
            with trio.move_on_after(OPEN_SECONDS_MAX) as opening:
                async with self._channel.stream(METHOD, metadata=self._metadata) as stream:
                    opening.deadline = math.inf
                    self._begin()
                    since = trio.current_time()
                    error = await self._serve(stream)
                    if trio.current_time() - since >= STEADY_SECONDS:
                        self._failures = 0
                    return error
        except EtcdError as error:
            return error
        return None

    async def _log_in_again(self) -> None:
        """Let the channel learn by a call, as it does, that its token is not good any more."""
        for watch in list(self.watches)[:1]:
            await self._may_read(watch)

    async def _may_read(self, watch: Watch) -> bool:
        """Whether the user may read what is watched. A token that is not good any more is replaced by the way."""
        create = watch.create
        request = RangeRequest(key=create.key, range_end=create.range_end, limit=1, keys_only=True)
        try:
            await self._channel.unary(_RANGE, request.SerializeToString())
        except EtcdError:
            return False
        return True

    def _begin(self) -> None:
        """All watches are to be created anew, where they were."""
        self._by_id.clear()
        self._creating.clear()
        self._requests.clear()
        for watch in self.watches:
            watch.lost()
        self._to_create = deque(self.watches)

    async def _serve(self, stream: ChannelStream) -> EtcdError | None:
        failure: EtcdError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, stream, nursery.cancel_scope)
            try:
                await self._read(stream)
            except EtcdError as error:
                failure = error
            nursery.cancel_scope.cancel()
        return failure

    def _fail(self, error: EtcdError) -> None:
        for watch in list(self.watches):
            watch.fail(error)
            self.remove(watch)

    async def _write(self, stream: ChannelStream, scope: trio.CancelScope) -> None:
        """Send what is to be sent; a failure is the reader's to see, unless the reader waits for a user."""
        try:
            while True:
                while self._to_create and len(self._creating) < CREATES_IN_FLIGHT_MAX:
                    watch = self._to_create.popleft()
                    if watch in self.watches:
                        self._creating.append(watch)
                        request = WatchRequest(create_request=watch.request())
                        await stream.send(request.SerializeToString())
                while self._requests:
                    await stream.send(self._requests.popleft().SerializeToString())
                self._wake = trio.Event()
                await self._wake.wait()
        except EtcdError:
            scope.cancel()

    # --- responses ------------------------------------------------------------------------------

    async def _read(self, stream: ChannelStream) -> None:
        for slow in [watch for watch in self.watches if watch.full]:
            await self._wait_for(slow)
        turn = 0
        while (data := await stream.receive()) is not None:
            turn += 1
            if (
                turn % TURN_RESPONSES_MAX == 0
            ):  # receiving may not let others run while there is more
                await trio.lowlevel.checkpoint()
            response = WatchResponse.FromString(data)
            if response.created:
                await self._take_created(response)
            elif (watch := self._by_id.get(response.watch_id)) is not None:
                if response.canceled:
                    await self._take_end(watch, response)
                    continue
                watch.accept(response, len(data))
                if watch.full:
                    await self._wait_for(watch)
            elif response.watch_id < 0 and not response.events and not response.canceled:
                await self._take_progress(response, len(data))

    async def _take_created(self, response: WatchResponse) -> None:
        """The answer to the oldest creation: a server answers in order."""
        if not self._creating:
            return
        watch = self._creating.popleft()
        if self._to_create:
            self._wake.set()
        if watch not in self.watches:
            if not response.canceled:
                self._cancel(response.watch_id)
        elif response.canceled:
            taken = response.watch_id in self._by_id
            await self._take_end(watch, response)
            if taken:
                # etcd 3.5.1 refuses in the name of watch 0, and then tells that one nothing more.
                raise ConnectionLost("a refused watch has taken another's number along")
        else:
            self._logins = 0
            watch.id = response.watch_id
            self._by_id[response.watch_id] = watch
            watch.take_created(response.header.revision)

    async def _take_end(self, watch: Watch, response: WatchResponse) -> None:
        """The server has ended one watch, or refuses it."""
        if watch.id is not None:
            self._by_id.pop(watch.id, None)
            watch.id = None
        if response.compact_revision:
            if watch.compacted(response.compact_revision):
                self._to_create.append(watch)
                self._wake.set()
                return
        else:
            error = reason_of(response.cancel_reason)
            if await self._is_stale(watch, error):
                raise InvalidAuthToken  # ends the call: the next one has another token
            watch.fail(error)
        self.remove(watch)

    async def _is_stale(self, watch: Watch, error: EtcdError) -> bool:
        """Whether it is the call's token that is refused, and not the watch. etcd 3.5.1 says the same of both."""
        if watch.refusals == LOGIN_ATTEMPTS_MAX:
            return False
        watch.refusals += 1
        if isinstance(error, PermissionDenied):
            return await self._may_read(watch)
        return isinstance(error, _STALE_LOGIN)

    async def _take_progress(self, response: WatchResponse, size: int) -> None:
        """All watches of the stream are as far as it says."""
        for watch in list(self._by_id.values()):
            watch.accept_progress(response, size)
        for watch in list(self._by_id.values()):
            if watch.full:
                await self._wait_for(watch)

    async def _wait_for(self, watch: Watch) -> None:
        """Read no more until the watch has room; but not for ever, if others wait as well."""
        with trio.move_on_after(STALL_SECONDS_MAX):
            await watch.wait_room()
        if len(self.watches) == 1 and watch in self.watches:
            self.stalled = True
            try:
                await watch.wait_room()
            finally:
                self.stalled = False
        elif watch.full and watch in self.watches:
            self.remove(watch)
            self._move_out(watch, self._metadata)


def reason_of(text: str) -> EtcdError:
    """The error for what a server gives as the reason of a cancellation."""
    known = by_text(text.rpartition("desc = ")[2]) if text else WatchCanceled
    if known is not None:
        return known()
    return WatchCanceled(f"{WatchCanceled.text}: {text}")


def lasting(error: EtcdError) -> bool:
    """Whether a streaming call may succeed if it is made again: the rule of clientv3."""
    if isinstance(error, UntrustedServer | ClientClosed):
        return False
    return error.status in {Code.UNAVAILABLE, Code.INTERNAL}
