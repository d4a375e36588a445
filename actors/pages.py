"""The pages that probes and people ask for: /health, /livez, /readyz, /version, /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio

from ..mvcc.alarm import CORRUPT
from ..mvcc.alarm import NAMES as ALARM_NAMES
from ..rpc import pages
from ..rpc.http_reply import HttpReply, gzipped, method_not_allowed, takes_gzip
from ..rpc.pb.rpc_pb2 import RangeRequest
from ..version import SERVER_VERSION
from .call import Call, Waiter
from .context import NodeContext
from .dispatch import Dispatcher
from .failures import refusal_of
from .log import Log

__all__ = ["Pages"]

READ_SECONDS_MAX = 5.0

log = Log("triode.health")
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Pages:
    """Answers pages from a node's state and, where a page says that reads work, from a read."""

    def __init__(
        self, node: NodeContext, dispatcher: Dispatcher, metrics: Callable[[], bytes]
    ) -> None:
        self._node = node
        self._dispatcher = dispatcher
        self._metrics = metrics
        self.on_health: Callable[[bool], None] = lambda _healthy: None
        self.on_check: Callable[[str, str, bool], None] = lambda _page, _name, _passed: None
        self._checks: dict[str, Callable[[], Awaitable[str]]] = {
            "data_corruption": self._corruption,
            "serializable_read": lambda: self._read(serializable=True),
            "linearizable_read": lambda: self._read(serializable=False),
            "non_learner": self._non_learner,
            "disk_space": self._disk_space,
        }

    async def answer(
        self, verb: str, target: str, fields: Iterable[tuple[bytes, bytes]] = ()
    ) -> HttpReply | None:
        """The page, or None for a path that is not one; `fields` are the request's headers."""
        path = target.partition("?")[0]
        if path == "/health":
            return await self._health(verb, target)
        if path == "/metrics":
            if verb not in ("GET", "HEAD"):
                return method_not_allowed()
            reply = HttpReply(200, [("Content-Type", METRICS_TYPE)], self._metrics())
            return gzipped(reply) if takes_gzip(fields) else reply
        if path == "/version":
            return pages.version(
                verb,
                server=SERVER_VERSION,
                cluster=self._node.membership.version,
                storage=self._node.membership.storage_version,
            )
        wanted = pages.checks_wanted(verb, target)
        if wanted is None or isinstance(wanted, HttpReply):
            return wanted
        page = path.split("/")[1]
        failures = {}
        for name in wanted.names:
            reason = await self._checks[name]()
            if reason:
                failures[name] = reason
            self.on_check(page, name, not reason)
        if failures:
            log.error("health check error", path=path, **failures)
        return pages.checks(wanted, failures)

    async def _health(self, verb: str, target: str) -> HttpReply:
        query = pages.health_query(verb, target)
        if isinstance(query, HttpReply):
            return query
        raised = [ALARM_NAMES.get(alarm.kind, "UNKNOWN") for alarm in self._node.alarms_here()]
        reason = pages.alarm_reason(raised, query)
        if not reason and not query.serializable and not self._node.raft.leader:
            reason = "RAFT NO LEADER"
        if not reason:
            failure = await self._read(serializable=query.serializable)
            reason = f"RANGE ERROR:{failure}" if failure else ""
        self.on_health(not reason)
        if reason:
            log.warning("/health error", reason=reason)
        return pages.health(reason)

    async def _corruption(self) -> str:
        await trio.lowlevel.checkpoint()
        return pages.CORRUPT_REASON if self._node.alarms.raised(CORRUPT) else ""

    async def _non_learner(self) -> str:
        await trio.lowlevel.checkpoint()
        mine = self._node.membership.members.get(self._node.member_id)
        return pages.LEARNER_REASON if mine is not None and mine.is_learner else ""

    async def _disk_space(self) -> str:
        await trio.lowlevel.checkpoint()
        full = self._node.raft.disk_full
        return "" if full is None else str(full)

    async def _read(self, *, serializable: bool) -> str:
        """Read one key, as nobody's call; returns why that failed, or nothing."""
        waiter = Waiter()
        request = RangeRequest(key=b"health", limit=1, serializable=serializable)
        try:
            self._dispatcher.kv.range(request.SerializeToString(), Call(waiter, 0))
            await waiter.wait(READ_SECONDS_MAX)
        except Exception as error:  # noqa: BLE001  # what a read fails with is the answer
            return refusal_of(error).message
        return ""
