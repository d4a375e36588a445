"""How much each check asks of a cluster (etcdctl's figures)."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["DATASCALE", "LOADS", "PERF", "DatascaleLoad", "PerfLoad"]


@attrs.frozen
class PerfLoad:
    """A rate of writes that the cluster is to keep up."""

    writes_per_second: int
    clients: int  # writes under way at once, at most
    seconds: float = 60
    key_bytes: int = 256
    value_bytes: int = 1024


@attrs.frozen
class DatascaleLoad:
    """A number of keys that the cluster is to hold."""

    pairs: int
    clients: int
    key_bytes: int = 512
    value_bytes: int = 512

    @property
    def pair_bytes(self) -> int:
        return self.key_bytes + self.value_bytes


LOADS: Final = {
    **dict.fromkeys(("s", "small"), "s"),
    **dict.fromkeys(("m", "medium"), "m"),
    **dict.fromkeys(("l", "large"), "l"),
    **dict.fromkeys(("xl", "xLarge"), "xl"),
}
"""What `--load` takes -> the load's name."""

PERF: Final = {
    "s": PerfLoad(150, 50),
    "m": PerfLoad(1_000, 200),
    "l": PerfLoad(8_000, 500),
    "xl": PerfLoad(15_000, 1_000),
}

DATASCALE: Final = {
    "s": DatascaleLoad(10_000, 50),
    "m": DatascaleLoad(100_000, 200),
    "l": DatascaleLoad(1_000_000, 500),
    "xl": DatascaleLoad(3_000_000, 1_000),
}
