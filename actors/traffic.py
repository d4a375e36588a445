"""Counts of calls and bytes, kept where they pass and read when a scraper comes.

A `MethodCounter` belongs to one RPC of one node. Calls carry a reference to it, so that counting is an addition
to an attribute and not a look-up by labels.
"""

from __future__ import annotations

from collections import Counter

from ..errors import Code
from ..rpc.methods import METHODS
from .grpc_metrics import CODE_NAMES, LABELS, GrpcMetrics

__all__ = ["MethodCounter", "Traffic"]


class MethodCounter:
    """What happened to the calls of one RPC."""

    __slots__ = ("ended", "ok", "received", "sent", "started")

    def __init__(self) -> None:
        self.started = 0
        self.ok = 0
        self.received = 0
        self.sent = 0
        self.ended: Counter[int] = Counter()
        """Calls that ended with another status than OK, by code."""


class Traffic:
    """All that passes between a node and its clients."""

    def __init__(self) -> None:
        self.methods = {path: MethodCounter() for path in METHODS}
        self.unknown = MethodCounter()
        """Calls of RPCs that do not exist."""
        self.received_bytes = 0
        self.sent_bytes = 0

    def counter(self, path: str) -> MethodCounter:
        """The counter of an RPC, or the one of all that do not exist."""
        return self.methods.get(path, self.unknown)

    def fill(self, metrics: GrpcMetrics) -> None:
        """Bring the metrics up to date."""
        ok = CODE_NAMES[Code.OK]
        for path, counter in self.methods.items():
            labels = LABELS[path]
            metrics.started[labels] = counter.started
            metrics.received[labels] = counter.received
            metrics.sent[labels] = counter.sent or counter.ok
            metrics.handled[ok, *labels] = counter.ok
            for code, count in counter.ended.items():
                metrics.handled[CODE_NAMES[code], *labels] = count
