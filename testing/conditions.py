"""What a link between two members does to the messages on it."""

from __future__ import annotations

from random import Random

import attrs

__all__ = ["Conditions"]


@attrs.define
class Conditions:
    """Of one direction of one link. Times are in seconds, the rest are chances in [0, 1]."""

    delay_min: float = 0.0005
    delay_max: float = 0.002
    drop: float = 0.0
    """A message is lost."""
    duplicate: float = 0.0
    """It arrives twice; never a forwarded proposal, which no stream delivers twice."""
    reorder: float = 0.0
    """It is overtaken by later ones; otherwise the order is kept."""
    blocked: bool = False
    """Nothing gets through."""
    snapshot_bytes_per_second: float = 50e6
    snapshot_failure: float = 0.0
    """A snapshot breaks off on its way, after some part of it."""

    def delay(self, random: Random) -> float:
        """How long the next message takes."""
        low, high = self.delay_min, self.delay_max
        return low if high <= low else low + (high - low) * random.random()
