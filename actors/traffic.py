"""Counts of calls and bytes, kept where they pass and read when a scraper comes.

A `MethodCounter` belongs to one RPC of one node. Calls carry a reference to it, so that counting is an addition
to an attribute and not a look-up by labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..errors import Code
from ..rpc.methods import METHODS
from .grpc_metrics import CODE_NAMES, LABELS, GrpcMetrics

__all__ = ["VERSIONS_MAX", "MethodCounter", "Traffic", "Versions"]

VERSIONS_MAX = 64
"""Client versions told apart: what clients say of themselves must not fill the memory."""
Versions = dict["str | bytes", int]
_STREAM_NAMES = {
    "/etcdserverpb.Watch/Watch": "watch",
    "/etcdserverpb.Lease/LeaseKeepAlive": "lease-keepalive",
}
_NO_FAILURES = (Code.CANCELED, Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE)  # the client's, or a stop


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
        self.unary_versions: Versions = {}
        self.stream_versions: Versions = {}
        """Calls by what the client said to be; those who said nothing are not in it."""

    def counter(self, path: str) -> MethodCounter:
        """The counter of an RPC, or the one of all that do not exist."""
        return self.methods.get(path, self.unknown)

    def client_requests(self) -> Iterator[tuple[tuple[str, str], int]]:
        """Calls by (type, client's version)."""
        for kind, unary, versions in (
            ("unary", True, self.unary_versions),
            ("stream", False, self.stream_versions),
        ):
            started = sum(c.started for path, c in self.methods.items() if _unary(path) is unary)
            counts = {str(version): count for version, count in versions.items()}
            unknown = started - sum(counts.values())
            if unknown:
                counts["unknown"] = counts.get("unknown", 0) + unknown
            for version, count in counts.items():
                yield (kind, version), count

    def stream_failures(self) -> Iterator[tuple[tuple[str, str], int]]:
        """Streams of clients that ended in an error, by ("receive", API)."""
        for path, name in _STREAM_NAMES.items():
            ended = self.methods[path].ended
            failed = sum(count for code, count in ended.items() if code not in _NO_FAILURES)
            if failed:
                yield ("receive", name), failed

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


def _unary(path: str) -> bool:
    return METHODS[path].unary
