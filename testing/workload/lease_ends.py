"""The ends of leases, of which some are an hour away: in between nothing happens, so that time is skipped.

Shortly before the moment from which on a lease may be over, time is lived through again: whoever counts wrong ends
it there too early, and the watchers see it go. Nothing is judged here, see `checkers.lease`.
"""

from __future__ import annotations

import trio

from ..checkers.history import STAMPS_PER_SECOND
from ..checkers.lease import promised_ends, ttls
from ..cluster import Cluster
from .recorder import Recorder

__all__ = ["live_through_leases"]

LIVED_SECONDS = 1.6  # ahead of an end: three looks of a leader's reaper
PAST_SECONDS = 0.01


async def live_through_leases(
    cluster: Cluster, recorder: Recorder, clock_rates: tuple[float, float]
) -> None:
    """Return when the time of every lease is up on the slowest clock; then its leader has still to end it.

    There is peace: nobody renews any more, and the leader stays.
    """
    slowest, fastest = clock_rates
    operations = recorder.history.operations
    ends = promised_ends(operations, fastest_clock=fastest).values()
    all_over = recorder.stamp() / STAMPS_PER_SECOND + max(ttls(operations), default=0) / slowest
    for end in sorted(end / STAMPS_PER_SECOND for end in ends):
        _skip(cluster, end - LIVED_SECONDS - recorder.stamp() / STAMPS_PER_SECOND)
        await trio.sleep(max(0.0, end + PAST_SECONDS - recorder.stamp() / STAMPS_PER_SECOND))
    _skip(cluster, all_over - recorder.stamp() / STAMPS_PER_SECOND)


def _skip(cluster: Cluster, seconds: float) -> None:
    if seconds > 0.0:
        cluster.skip_time(seconds)
