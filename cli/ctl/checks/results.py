"""What a load's requests came to, and whether that is good enough (etcdctl's thresholds and words)."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import Final

import attrs

__all__ = ["Results", "Summary", "errors_of", "judge_perf"]

THROUGHPUT_SHARE_MIN: Final = 0.9
SLOWEST_SECONDS_MAX: Final = 0.5
STDDEV_SECONDS_MAX: Final = 0.1


@attrs.frozen
class Summary:
    """Figures of a run. Times are seconds; without a request that went well they are 0."""

    requests: int
    requests_per_second: float
    slowest: float
    stddev: float
    errors: dict[str, int]  # text -> how often


class Results:
    """Collects how long each request took."""

    def __init__(self) -> None:
        self._seconds = array("d")
        self._errors: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._seconds) + self._errors.total()

    def add(self, seconds: float) -> None:
        """A request went well."""
        self._seconds.append(seconds)

    def fail(self, text: str) -> None:
        """A request failed. Only those that went well count for the times and the throughput."""
        self._errors[text] += 1

    def summary(self, seconds: float) -> Summary:
        """The figures of a run that took so long."""
        times, count = self._seconds, len(self._seconds)
        if count == 0:
            return Summary(0, 0.0, 0.0, 0.0, dict(self._errors))
        mean = math.fsum(times) / count
        variance = math.fsum((one - mean) ** 2 for one in times) / count
        rate = count / seconds if seconds > 0 else 0.0
        return Summary(count, rate, max(times), math.sqrt(variance), dict(self._errors))


def errors_of(summary: Summary) -> list[str]:
    """The lines about requests that failed; none if all went well."""
    if not summary.errors:
        return []
    each = [f"FAIL: ERROR({text}) -> {count}" for text, count in summary.errors.items()]
    return ["FAIL: too many errors", *each]


def judge_perf(summary: Summary, writes_per_second: float) -> tuple[list[str], bool]:
    """The lines of the verdict, without the last word, and whether the cluster passed."""
    lines = errors_of(summary)
    passed = not lines
    rate = int(summary.requests_per_second) + 1
    if summary.requests_per_second / writes_per_second <= THROUGHPUT_SHARE_MIN:
        lines.append(f"FAIL: Throughput too low: {rate} writes/s")
        passed = False
    else:
        lines.append(f"PASS: Throughput is {rate} writes/s")
    if summary.slowest > SLOWEST_SECONDS_MAX:
        lines.append(f"Slowest request took too long: {summary.slowest:f}s")
        passed = False
    else:
        lines.append(f"PASS: Slowest request took {summary.slowest:f}s")
    if summary.stddev > STDDEV_SECONDS_MAX:
        lines.append(f"Stddev too high: {summary.stddev:f}s")
        passed = False
    else:
        lines.append(f"PASS: Stddev is {summary.stddev:f}s")
    return lines, passed
