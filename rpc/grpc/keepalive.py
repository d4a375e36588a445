"""How often a client may ping, as grpc-go's server decides it.

A ping comes too early when less than `interval_min_s` has passed since the one before, or two hours where
no call is open and pings without calls are not permitted. Sending headers or data forgives all: a
client may then ping as it likes (to measure the round trip). The third strike ends the connection.
"""

from __future__ import annotations

__all__ = ["KeepaliveEnforcer"]

STRIKES_MAX = 2
IDLE_INTERVAL_S = 2 * 60 * 60


class KeepaliveEnforcer:
    """The policy of one connection.

    Args:
        interval_min_s: the shortest time between a client's pings, in seconds (etcd: 5).
        permit_without_stream: whether a client without open calls may ping at all (etcd: no).
    """

    def __init__(self, interval_min_s: float = 5.0, *, permit_without_stream: bool = False) -> None:
        self._interval_min_s = interval_min_s
        self._permit_without_stream = permit_without_stream
        self._last_s: float | None = None
        self._strikes = 0

    def on_ping(self, now: float, *, streams: int, sent: bool) -> bool:
        """Judge a ping; False: end the connection.

        Args:
            now: monotonic seconds.
            streams: open calls.
            sent: headers or data went to the client since its last ping.
        """
        last, self._last_s = self._last_s, now
        if sent or last is None:
            self._strikes = 0
            return True
        interval = self._interval_min_s
        if not streams and not self._permit_without_stream:
            interval = IDLE_INTERVAL_S
        if last + interval > now:
            self._strikes += 1
        return self._strikes <= STRIKES_MAX
