"""Slow requests: the line in the log that says the disk or the machine does not keep up."""

from __future__ import annotations

from .call import Call
from .log import Log

__all__ = ["SlowRequests"]

log = Log("triode.requests")


class SlowRequests:
    """Warns of proposals that took long from their arrival to their answer.

    Args:
        warning_seconds: the setting `warning-unary-request-duration`; 0 turns it off.
        request_seconds: what proposals get as time to live, from which their arrival is known.
    """

    def __init__(self, warning_seconds: float, request_seconds: float) -> None:
        self._warning_seconds = warning_seconds
        self._request_seconds = request_seconds

    def look(self, oldest: Call, now: float) -> None:
        """Look at the oldest call of a batch that has just been answered."""
        took = now - (oldest.deadline - self._request_seconds)
        if 0 < self._warning_seconds < took:
            log.warning(
                "request took too long",
                took_seconds=round(took, 3),
                expected_seconds=self._warning_seconds,
                kind=type(oldest.request).__name__,
                request_bytes=len(oldest.data),
            )
