"""grpc.health.v1: the whole server, under the empty name, serves from start to stop."""

from __future__ import annotations

from ...errors import Code, EtcdError
from ...protowire import int_field
from ...rpc.pb.health_pb2 import HealthCheckRequest
from ..call import Call, Outlet

__all__ = ["HealthService", "HealthWatch"]

SERVING = 1
SERVICE_UNKNOWN = 3
NAMES = {""}


class HealthService:
    """grpc.health.v1.Health."""

    def check(self, message: bytes, call: Call) -> None:
        """Check."""
        if HealthCheckRequest.FromString(message).service not in NAMES:
            raise EtcdError("unknown service", code=Code.NOT_FOUND)
        call.answer(int_field(1, SERVING))

    def watch(self, out: Outlet) -> HealthWatch:
        """Watch."""
        return HealthWatch(out)


class HealthWatch:
    """One Watch call: the present status, and silence, as it does not change."""

    def __init__(self, out: Outlet) -> None:
        self._out = out
        self._asked = False

    def message(self, data: bytes) -> None:
        """The request; a second one is not looked at."""
        if self._asked:
            return
        self._asked = True
        known = HealthCheckRequest.FromString(data).service in NAMES
        self._out.send(int_field(1, SERVING if known else SERVICE_UNKNOWN))

    def half_closed(self) -> None:
        """Expected; the stream stays open."""

    def cancelled(self) -> None:
        """Nothing is held."""

    def writable(self) -> None:
        """Nothing waits."""
