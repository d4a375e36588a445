"""Metrics as records of plain attributes, and their Prometheus text form. No global state.

A set of metrics is a `MetricSet` whose attributes are made by `counter`, `gauge`, `histogram`,
`counters`, `gauges` and `histograms` (the plural ones have labels). The attribute *is* the value, so
counting is an add on it, and several sets (one per node) live side by side:

    class Metrics(MetricSet):
        puts: int = counter("etcd_mvcc_put_total", "Puts applied.")
        fsync: Histogram = histogram("etcd_disk_wal_fsync_duration_seconds", "…", doubling(0.001, 14))

    metrics.puts += 1
    metrics.fsync.observe(seconds)
    metrics.has_leader = lambda: raft.leader != 0      # a gauge may be a function, called per scrape

Source of the form: Prometheus' text exposition format 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

__all__ = [
    "CONTENT_TYPE",
    "Family",
    "Gauge",
    "Histogram",
    "Histograms",
    "Labelled",
    "MetricSet",
    "counter",
    "counters",
    "doubling",
    "families",
    "gauge",
    "gauges",
    "histogram",
    "histograms",
    "text",
]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Gauge: TypeAlias = float | Callable[[], float]
Labelled: TypeAlias = dict[tuple[str, ...], float]


class Histogram:
    """Counts of observations per bucket, and their sum."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges  # upper bounds, inclusive, ascending
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value


class Histograms(dict[tuple[str, ...], Histogram]):
    """One histogram per tuple of label values, made when first asked for."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        super().__init__()
        self.edges = edges

    def __missing__(self, labels: tuple[str, ...]) -> Histogram:
        made = self[labels] = Histogram(self.edges)
        return made


def doubling(first: float, count: int) -> tuple[float, ...]:
    """Bucket edges, each twice the one before."""
    return tuple(first * 2.0**power for power in range(count))


class _Description(NamedTuple):
    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    factory: Callable[[], Any]


class MetricSet:
    """Base of a set of metrics. Not attrs: a hundred fields take it 5 ms to define, at every start."""

    _descriptions: ClassVar[dict[str, _Description]]

    def __init_subclass__(cls) -> None:
        described = ((name, of) for name, of in vars(cls).items() if isinstance(of, _Description))
        cls._descriptions = dict(described)

    def __init__(self) -> None:
        for name, description in self._descriptions.items():
            setattr(self, name, description.factory())


def counter(name: str, help: str) -> Any:
    """A number that only grows: an int attribute."""
    return _Description(name, "counter", help, (), int)


def gauge(name: str, help: str) -> Any:
    """A number, or a function that returns it."""
    return _Description(name, "gauge", help, (), int)


def histogram(name: str, help: str, edges: tuple[float, ...]) -> Any:
    """A `Histogram`."""
    return _Description(name, "histogram", help, (), lambda: Histogram(edges))


def counters(name: str, help: str, *labels: str) -> Any:
    """Counters by label values: `metrics.sent[(peer,)] += n`."""
    return _Description(name, "counter", help, labels, lambda: defaultdict(int))


def gauges(name: str, help: str, *labels: str) -> Any:
    """Gauges by label values."""
    return _Description(name, "gauge", help, labels, lambda: defaultdict(int))


def histograms(name: str, help: str, edges: tuple[float, ...], *labels: str) -> Any:
    """A `Histograms`."""
    return _Description(name, "histogram", help, labels, lambda: Histograms(edges))


# --- reading -----------------------------------------------------------------------------------


class Family(NamedTuple):
    """One metric with all its samples: (suffix of the name, labels, value)."""

    name: str
    kind: str
    help: str
    samples: list[tuple[str, dict[str, str], float]]


def families(metrics: MetricSet) -> Iterator[Family]:
    """Read every metric of a set now; functions are called."""
    for name, description in metrics._descriptions.items():
        value = getattr(metrics, name)
        family = Family(description.name, description.kind, description.help, [])
        by_labels: Mapping[tuple[str, ...], Any] = value if description.labels else {(): value}
        for labels in sorted(by_labels):
            named = dict(zip(description.labels, labels, strict=True))
            family.samples.extend(_samples(named, by_labels[labels]))
        yield family


def _samples(labels: dict[str, str], value: Any) -> Iterator[tuple[str, dict[str, str], float]]:
    if not isinstance(value, Histogram):
        yield "", labels, value() if callable(value) else value
        return
    seen = 0
    for edge, count in zip((*value.edges, float("inf")), value.counts, strict=True):
        seen += count
        yield "_bucket", labels | {"le": _number(edge)}, seen
    yield "_sum", labels, value.total
    yield "_count", labels, seen


def text(found: Iterable[Family]) -> bytes:
    """The page for a scraper; families without a sample are left out."""
    lines: list[str] = []
    for name, kind, help_text, samples in sorted(found):
        if not samples:
            continue
        lines.append(f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n")
        for suffix, labels, value in samples:
            inner = ",".join(f'{key}="{_escaped(each)}"' for key, each in labels.items())
            lines.append(f"{name}{suffix}{{{inner}}} " if inner else f"{name}{suffix} ")
            lines.append(f"{_number(value)}\n")
    return "".join(lines).encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """As Go writes it, because the text of a bucket's edge is part of the identity of a series."""
    if isinstance(value, int):
        return str(int(value))
    if value == float("inf"):
        return "+Inf"
    if abs(value) >= 1e6:
        mantissa, _, exponent = f"{value:.15e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    return repr(value).removesuffix(".0")
