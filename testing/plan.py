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
    "suspend",
    "partition",
    "isolate_leader",
    "one_way",
    "flaky_links",
    "slow_links",
    "fsync_failure",
    "io_error",
    "read_failure",
    "full_disk",
    "corrupt_disk",
    "damage",
    "date_jump",
    "move_leader",
    "grow",
    "shrink",
    "learner",
    "remove_down",
    "update_urls",
    "other_flags",
    "wrong_flags",
    "stranger",
    "install_failure",
)
"""The names of the faults in `faults`."""

SLOW_SCALE = 40.0
SQLITE_BYTES_MIN = 213_000  # of a file with hardly anything in it


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
    install_delay_max: float = 0.0
    """The longest time that installing a snapshot takes; 0: as any slow disk operation."""
    scale: float = 1.0
    """How much slower everything goes than usual: elections, clients, faults, leases. Messages and disks do not."""
    checkpoint_seconds: float = 300.0
    """Between checkpoints of a lease."""
    sqlite: bool = False
    """Members store on SQLite instead of the simulated engine."""
    admin: bool = False
    """Somebody looks after the cluster meanwhile: hashes, snapshots, defragmentation, alarms, downgrades."""
    force_new: bool = False
    """At the end the cluster is lost but for one member, which goes on alone."""
    long_leases: bool = False
    """Some leases last for minutes, up to an hour."""

    def describe(self) -> str:
        """The plan in one line."""
        return (
            f"seed {self.seed}: {self.members} members, {self.seconds:g} s, faults: "
            f"{', '.join(self.faults) or 'none'}"
        )

    @property
    def clock_rates_between(self) -> tuple[float, float]:
        """The rates of the slowest and of the fastest clock; those of machines that come later are right."""
        return min(*self.clock_rates, 1.0), max(*self.clock_rates, 1.0)


def plan_of(seed: int, *, members: int | None = None) -> Plan:
    """The plan that a seed stands for; `members` overrides its choice."""
    random = Random(f"plan {seed}")
    size = random.choice((1, 1, 2, 2, 2, 3, 3, 3, 3, 5))
    size = members or size
    kinds = random.sample(FAULTS, random.randrange(2, 7))
    if size == 2 and random.random() < 0.5:
        kinds = [*kinds, "shrink"]
    skewed = random.random() < 0.5
    fastest = random.choice((0.002, 0.01, 0.05))
    scale = random.choice((1.0,) * 11 + (SLOW_SCALE,))
    slowest = random.choice((0.0, 0.001, 0.01, 0.08, 0.4))
    low, high = random.choice(((0.2, 1.0), (0.4, 2.0), (1.0, 3.0)))
    plan = Plan(
        seed=seed,
        members=size,
        seconds=random.uniform(5.0, 10.0) * scale,
        faults=tuple(sorted(set(kinds))),
        fault_every=(low, high),
        clock_rates=tuple(random.uniform(0.85, 1.15) if skewed else 1.0 for _ in range(size)),
        disk_delay_max=slowest,
        conditions=Conditions(
            delay_min=0.0005, delay_max=fastest, reorder=random.choice((0, 0, 0.02))
        ),
        settings=_settings(random, slowest, scale),
        install_delay_max=random.choice((0.0, 0.3, 2.0, 6.0)) * scale,
        scale=scale,
        checkpoint_seconds=random.choice((0.5, 2.0, 300.0)) if scale == 1.0 else 300.0,
        sqlite=random.random() < 0.15,
        admin=random.random() < 0.4,
        force_new=random.random() < 0.1,
        long_leases=random.random() < 0.3,
    )
    if plan.sqlite:
        plan.settings["quota_backend_bytes"] += SQLITE_BYTES_MIN
    return plan


def _settings(random: Random, slowest: float, scale: float) -> dict[str, Any]:
    election = random.choice((0.3, 0.3, 0.5, 1.0))
    if slowest > 0.1:  # votes are written, too: a shorter one would never end
        election = 1.0
    return {
        "election_timeout": election * scale,
        "heartbeat_interval": election * scale / 10,
        "snapshot_count": random.choice((5, 5, 20, 100)),
        "snapshot_catchup_entries": random.choice((1, 1, 5, 20)),
        "max_wals": random.choice((1, 2, 5)),
        "backend_batch_interval": random.choice((0.05, 0.2, 0.5)) * scale,
        "backend_batch_limit": random.choice((3, 50, 10_000)),
        "compaction_batch_limit": random.choice((3, 1000)),
        "compaction_sleep_interval": random.choice((0.0, 0.01, 0.2)) * scale,
        "pre_vote": random.random() < 0.7,
        "strict_reconfig_check": random.random() < 0.3,  # it wants five seconds without a fault
        "quota_backend_bytes": random.choice((2 << 30, 2 << 30, 60_000)),
    }
