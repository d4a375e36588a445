"""When a call that failed is made again.

The rules are clientv3's: a read is repeated while the answer is Unavailable; a write only when the server has surely
not seen it. One more: a member that has no space has done nothing, and the others may have some, so each of them is
asked once. Between attempts passes a moment with jitter, once a majority of the endpoints has been asked; every
call ends after `attempts_max` attempts whatever happens. Errors of a wrong login are the channel's matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import Code, EtcdError, NoSpace
from .errors import ClientClosed, Unreachable

__all__ = ["ATTEMPTS_MAX", "REPEATABLE", "Retries", "backoff_seconds"]

ATTEMPTS_MAX = 100
WAIT_SECONDS = 0.025
WAIT_JITTER = 0.1

REPEATABLE: Final = frozenset(
    {
        "/etcdserverpb.KV/Range",
        "/etcdserverpb.Lease/LeaseGrant",
        "/etcdserverpb.Lease/LeaseRevoke",
        "/etcdserverpb.Lease/LeaseTimeToLive",
        "/etcdserverpb.Lease/LeaseLeases",
        "/etcdserverpb.Cluster/MemberList",
        "/etcdserverpb.Maintenance/Alarm",
        "/etcdserverpb.Maintenance/Status",
        "/etcdserverpb.Maintenance/Hash",
        "/etcdserverpb.Maintenance/HashKV",
        "/etcdserverpb.Maintenance/MoveLeader",
        "/etcdserverpb.Auth/UserList",
        "/etcdserverpb.Auth/UserGet",
        "/etcdserverpb.Auth/RoleGet",
        "/etcdserverpb.Auth/RoleList",
        "/grpc.health.v1.Health/Check",
    }
)
"""RPCs that may be carried out twice without harm: clientv3's list, and the health check."""


class Retries:
    """The attempts of one call.

    Args:
        path: which RPC.
        endpoints: how many endpoints there are to ask.
        random: a float in [0, 1).
        attempts_max: attempts, the first included.
    """

    __slots__ = (
        "_attempts",
        "_attempts_max",
        "_endpoints",
        "_quorum",
        "_random",
        "_repeatable",
        "_without_space",
    )

    def __init__(
        self,
        path: str,
        endpoints: int,
        random: Callable[[], float],
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        self._repeatable = path in REPEATABLE
        self._endpoints = endpoints
        self._without_space = 0
        self._quorum = endpoints // 2 + 1
        self._random = random
        self._attempts = 0
        self._attempts_max = attempts_max

    def wait_seconds(self, error: EtcdError, *, processed: bool) -> float | None:
        """How long to wait before the next attempt, in seconds; None: the error is final.

        Args:
            error: how the attempt ended.
            processed: the server may have seen it.
        """
        self._attempts += 1
        if isinstance(error, NoSpace):
            self._without_space += 1
            return 0.0 if self._without_space < self._endpoints else None
        if self._attempts >= self._attempts_max or error.status != Code.UNAVAILABLE:
            return None
        if isinstance(error, Unreachable | ClientClosed):
            return None  # waiting for a connection has its own limit, which is over
        if processed and not self._repeatable:
            return None
        if self._attempts % self._quorum:
            return 0.0
        return WAIT_SECONDS * (1 + WAIT_JITTER * (2 * self._random() - 1))


DIAL_SECONDS_MIN = 0.05
DIAL_SECONDS_MAX = 1.0
DIAL_FACTOR = 1.6
DIAL_JITTER = 0.2


def backoff_seconds(failures: int, random: Callable[[], float]) -> float:
    """How long to wait before an endpoint is dialled again, after `failures` (1, 2, …) in a row."""
    seconds = min(DIAL_SECONDS_MAX, DIAL_SECONDS_MIN * DIAL_FACTOR ** min(failures - 1, 20))
    return seconds * (1 + DIAL_JITTER * (2 * random() - 1))
