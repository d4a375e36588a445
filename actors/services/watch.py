"""Watch: a stream of the hub on the one side, the client's stream on the other."""

from __future__ import annotations

from collections import deque

from ...errors import Code, EtcdError
from ...rpc.pb.rpc_pb2 import WatchRequest
from ..call import Outlet
from ..context import NodeContext
from ..failures import refusal_of

__all__ = ["WatchCall"]

OUTLET_BYTES_MAX = 256 * 1024  # as much is handed to the connection; the rest waits in the hub
REQUESTS_WAITING_MAX = 1024
GRPC_OVERHEAD_BYTES = 512 * 1024


class WatchCall:
    """One Watch call."""

    def __init__(self, node: NodeContext, out: Outlet) -> None:
        self._node = node
        self._out = out
        self._waiting: deque[WatchRequest] = deque()
        self._stream = node.hub.open_stream(
            self._ready, fragment_bytes_max=node.config.max_request_bytes + GRPC_OVERHEAD_BYTES
        )

    def message(self, data: bytes) -> None:
        """Create, cancel or ask for progress; anything else is ignored, as in etcd."""
        request = WatchRequest.FromString(data)
        if self._waiting or self._stream.full:
            if len(self._waiting) >= REQUESTS_WAITING_MAX:
                self._stream.close()
                self._out.finish(
                    EtcdError(
                        "etcdserver: too many watch requests without reading their answers",
                        code=Code.RESOURCE_EXHAUSTED,
                    )
                )
                return
            self._waiting.append(request)
        else:
            self._handle(request)

    def _handle(self, request: WatchRequest) -> None:
        which = request.WhichOneof("request_union")
        if which == "create_request":
            self._stream.create(request.create_request)
        elif which == "cancel_request":
            self._stream.cancel(request.cancel_request.watch_id)
        elif which == "progress_request":
            self._stream.request_progress()

    def _ready(self) -> None:
        """The hub has news. Often it is the applier that says so, and it must not fail for a defect here."""
        try:
            self._pump()
        except Exception as error:  # noqa: BLE001
            self._out.finish(refusal_of(error))
            self._node.spawn(self._end)  # not now: the hub is at work

    async def _end(self) -> None:
        self._stream.close()

    def _pump(self) -> None:
        out, stream = self._out, self._stream
        while out.backlog() < OUTLET_BYTES_MAX:
            messages = stream.take()
            if not messages:
                return
            for message in messages:
                out.send(message)

    def half_closed(self) -> None:
        """No further request comes; events still go to the client, until it cancels the call, as in etcd.

        Most gRPC libraries half-close a call whose requests are a list that has an end. Even a call without a watch
        stays: etcd keeps it, and it holds no more than the stream itself, which ends with its connection.
        """

    def cancelled(self) -> None:
        """The client is gone."""
        self._waiting.clear()
        self._stream.close()

    def writable(self) -> None:
        """The client has read: send on, then take the requests that waited."""
        self._pump()
        while self._waiting and not self._stream.full:
            self._handle(self._waiting.popleft())
