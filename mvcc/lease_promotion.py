"""What a new primary makes of the leases it inherits."""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter

from .lease_record import Lease

__all__ = ["REVOKES_PER_SECOND", "renew_all"]

REVOKES_PER_SECOND = 1000


def renew_all(
    leases: Collection[Lease],
    now: float,
    extend_seconds: float,
    revokes_per_second: int = REVOKES_PER_SECOND,
) -> None:
    """Give every lease a full term from `now`, longer by `extend_seconds`, and thin out crowds.

    The old primary's clock is unknown, so nobody may be shortened. Leases that were spread over time
    now end together if their terms are equal; more than three quarters of the revoke rate within one
    second would hold up the leases after them. So of those that end within a second of each other,
    the ones beyond the target are put off in proportion to how many there are, less the distance
    they already have.
    """
    for lease in leases:
        lease.expiry = now + extend_seconds + lease.term_seconds
    if len(leases) < revokes_per_second:
        return
    target = 3 * revokes_per_second // 4
    crowd_start = crowd_end = float("-inf")
    crowd = 0
    for lease in sorted(leases, key=attrgetter("expiry")):
        if lease.expiry > crowd_end:
            crowd_start = lease.expiry
            crowd_end = crowd_start + 1
            crowd = 1
            continue
        crowd += 1
        if crowd > target:
            delay = crowd / target - (lease.expiry - crowd_start)
            crowd_end = crowd_start + delay
            lease.expiry += delay
