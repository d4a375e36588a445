"""The budget for frames that cost work and bring none.

Rapid reset (CVE-2023-44487), PING, SETTINGS, empty-frame and PRIORITY floods (CVE-2019-9511 to 9518) are
one attack: cheap frames that each make the server do something. They share one token bucket.
Finished calls pay into it as well as time does, so that an honest busy client never runs dry, and
the clock is read only when the bucket is empty.
"""

from __future__ import annotations

from collections.abc import Callable

from .errors import ConnectionFault, ErrorCode

__all__ = ["NuisanceBudget"]


class NuisanceBudget:
    """A token bucket.

    Args:
        burst: tokens when full.
        per_second: tokens that come back each second.
        clock: monotonic seconds, or None: time refills nothing.
        work: a count that grows with every call the peer makes. Calls beyond the nuisances they came
            with refill one token each; a stream that is opened and reset at once refills none.
    """

    __slots__ = ("_burst", "_clock", "_per_second", "_refilled_at", "_spent", "_work", "_worked")

    def __init__(
        self,
        burst: int,
        per_second: int,
        *,
        clock: Callable[[], float] | None = None,
        work: Callable[[], int] = lambda: 0,
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._work = work
        self._refilled_at = clock() if clock else 0.0
        self._worked = 0
        self._spent: float = 0

    @property
    def tokens(self) -> float:
        """What is left before the next refill."""
        return self._burst - self._spent

    def spend(self, what: str) -> None:
        """Charge one nuisance; raises ConnectionFault (ENHANCE_YOUR_CALM) when there is no more."""
        self._spent += 1
        if self._spent > self._burst:
            self._refill()
            if self._spent > self._burst:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    def _refill(self) -> None:
        work = self._work()
        earned: float = max(0.0, work - self._worked - self._spent)
        self._worked = work
        if self._clock is not None:
            now = self._clock()
            earned += (now - self._refilled_at) * self._per_second
            self._refilled_at = now
        self._spent = max(0.0, self._spent - earned)
