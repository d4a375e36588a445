"""grpc.health.v1: the whole server, under the empty name, serves from its start until it stops or its disk is full."""

from __future__ import annotations

from ...errors import Code, EtcdError
from ...protowire import int_field
from ...rpc.pb.health_pb2 import HealthCheckRequest
from ..call import Call, Outlet
from ..context import NodeContext

__all__ = ["HealthService", "HealthWatch"]

SERVING = 1
NOT_SERVING = 2
SERVICE_UNKNOWN = 3
NAMES = {""}


class HealthService:
    """grpc.health.v1.Health: whether requests should be sent here, that is, whether the disk has space for writes."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._watches: dict[HealthWatch, None] = {}

    @property
    def status(self) -> int:
        """The status that clients are told."""
        return SERVING if self._node.raft.disk_full is None else NOT_SERVING

    def changed(self) -> None:
        """Tell everybody who watches."""
        for watch in self._watches:
            watch.tell(self.status)

    def check(self, message: bytes, call: Call) -> None:
        """Check."""
        if HealthCheckRequest.FromString(message).service not in NAMES:
            raise EtcdError("unknown service", code=Code.NOT_FOUND)
        call.answer(int_field(1, self.status))

    def watch(self, out: Outlet) -> HealthWatch:
        """Watch."""
        return HealthWatch(self, out)

    def add(self, watch: HealthWatch) -> None:
        """Tell it of changes."""
        self._watches[watch] = None

    def remove(self, watch: HealthWatch) -> None:
        """Tell it no more."""
        self._watches.pop(watch, None)


class HealthWatch:
    """One Watch call: the present status, and each change of it."""

    def __init__(self, health: HealthService, out: Outlet) -> None:
        self._health = health
        self._out = out
        self._asked = False

    def tell(self, status: int) -> None:
        """The status is another one now."""
        self._out.send(int_field(1, status))

    def message(self, data: bytes) -> None:
        """The request; a second one is not looked at."""
        if self._asked:
            return
        self._asked = True
        known = HealthCheckRequest.FromString(data).service in NAMES
        self._out.send(int_field(1, self._health.status if known else SERVICE_UNKNOWN))
        if known:
            self._health.add(self)

    def half_closed(self) -> None:
        """Expected; the stream stays open if it has a request."""
        if not self._asked:
            self._asked = True
            self._out.finish(EtcdError("EOF", code=Code.UNKNOWN))

    def cancelled(self) -> None:
        """Nobody listens any more."""
        self._health.remove(self)

    def writable(self) -> None:
        """Nothing waits."""
