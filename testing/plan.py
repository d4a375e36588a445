"""What a seed means: the size of the cluster, its timings and settings, and the faults to come."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs

from .conditions import Conditions

__all__ = ["FAULTS", "Plan", "plan_of"]

FAULTS = (
    "crash",
    "crash_at_operation",
    "kill",
    "power_cut",
    "stop",
    "pause",
    "partition",
    "isolate_leader",
    "one_way",
    "flaky_links",
    "slow_links",
    "fsync_failure",
    "full_disk",
    "corrupt_disk",
    "date_jump",
    "move_leader",
    "grow",
    "shrink",
    "learner",
)
"""The names of the faults in `nemesis`."""


@attrs.frozen
class Plan:
    """A scenario before it runs. Times are virtual seconds."""

    seed: int
    members: int
    seconds: float
    """How long faults are made."""
    faults: tuple[str, ...]
    fault_every: tuple[float, float]
    """The least and greatest pause between two faults."""
    clock_rates: tuple[float, ...]
    disk_delay_max: float
    """The longest time that a slow disk operation takes; 0: none takes any."""
    conditions: Conditions
    settings: dict[str, Any]

    def describe(self) -> str:
        """The plan in one line."""
        return (
            f"seed {self.seed}: {self.members} members, {self.seconds:g} s, faults: "
            f"{', '.join(self.faults) or 'none'}"
        )


def plan_of(seed: int, *, members: int | None = None) -> Plan:
    """The plan that a seed stands for; `members` overrides its choice."""
    random = Random(f"plan {seed}")
    size = random.choice((1, 3, 3, 3, 3, 5))
    size = members or size
    kinds = random.sample(FAULTS, random.randrange(2, 7))
    skewed = random.random() < 0.5
    fastest = random.choice((0.002, 0.01, 0.05))
    return Plan(
        seed=seed,
        members=size,
        seconds=random.uniform(5.0, 10.0),
        faults=tuple(sorted(kinds)),
        fault_every=random.choice(((0.2, 1.0), (0.4, 2.0), (1.0, 3.0))),
        clock_rates=tuple(random.uniform(0.85, 1.15) if skewed else 1.0 for _ in range(size)),
        disk_delay_max=random.choice((0.0, 0.001, 0.01, 0.08)),
        conditions=Conditions(
            delay_min=0.0005, delay_max=fastest, reorder=random.choice((0, 0, 0.02))
        ),
        settings=_settings(random),
    )


def _settings(random: Random) -> dict[str, Any]:
    election = random.choice((0.3, 0.3, 0.5, 1.0))
    return {
        "election_timeout": election,
        "heartbeat_interval": election / 10,
        "snapshot_count": random.choice((5, 5, 20, 100)),
        "snapshot_catchup_entries": random.choice((1, 1, 5, 20)),
        "max_wals": random.choice((1, 2, 5)),
        "backend_batch_interval": random.choice((0.05, 0.2, 0.5)),
        "backend_batch_limit": random.choice((3, 50, 10_000)),
        "compaction_batch_limit": random.choice((3, 1000)),
        "compaction_sleep_interval": random.choice((0.0, 0.01)),
        "pre_vote": random.random() < 0.7,
        "strict_reconfig_check": random.random() < 0.3,  # it wants five seconds without a fault
    }
