"""Asking a peer for the time, again and again: how long the way is, and whether the clocks agree."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import trio

from ...rpc.http_reply import HttpReply
from ...rpc.peer_heads import PROBING
from ..log import Log
from .client import PeerClient
from .home import Home

__all__ = ["Prober", "probe_page"]

log = Log("triode.peers")

PROBE_SECONDS: Final = 4.0
PROBE_SECONDS_MAX: Final = 5.0
CLOCK_SECONDS_MAX: Final = 1.0
"""A difference of the clocks above this is told."""
_NOW: Final = re.compile(rb'"Now":"([0-9:.TZ+-]{1,40})"')


def probe_page(wall: float) -> HttpReply:
    """The answer of GET /raft/probing at `wall` (seconds since 1970)."""
    now = datetime.fromtimestamp(wall, UTC).isoformat().replace("+00:00", "Z")
    body = b'{"OK":true,"Now":"%b"}\n' % now.encode()
    return HttpReply(200, [("Content-Type", "text/plain; charset=utf-8")], body)


class Prober:
    """Probes one member; `run` is a task of its link."""

    def __init__(self, member: int, home: Home, client: PeerClient) -> None:
        self._member = member
        self._home = home
        self._client = client
        self._told = False

    async def run(self) -> None:
        """Probe for ever."""
        clock = self._home.world.clock
        while True:
            began = clock.now()
            try:
                reply = await self._client.request("GET", PROBING, seconds_max=PROBE_SECONDS_MAX)
                seconds = clock.now() - began
                if reply.status == 200:
                    self._home.traffic.on_round_trip(self._member, seconds)
                    self._compare(reply.body, clock.wall() - seconds / 2)
            except (OSError, ValueError) as error:
                log.debug("probe failed", peer_id=f"{self._member:x}", error=str(error))
            await trio.sleep(PROBE_SECONDS)

    def _compare(self, body: bytes, wall: float) -> None:
        """Raises ValueError for what is no answer to a probe."""
        found = _NOW.search(body)
        if found is None:
            raise ValueError("not an answer to a probe")
        drift = abs(datetime.fromisoformat(found[1].decode()).timestamp() - wall)
        if drift > CLOCK_SECONDS_MAX and not self._told:
            log.warning(
                "prober found high clock drift",
                peer_id=f"{self._member:x}",
                seconds=round(drift, 3),
            )
        self._told = drift > CLOCK_SECONDS_MAX
