"""Whole clusters under hostile schedules; `_simulation` says what must hold."""

from __future__ import annotations

from types import ModuleType

import pytest

SEEDS = range(40)
STEPS = 1200


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cluster_keeps_its_promises(simulation: ModuleType, seed: int) -> None:
    sim = simulation.Simulation(seed)
    sim.run(STEPS)
    sim.settle()


@pytest.mark.long
@pytest.mark.parametrize("first", range(1000, 1500, 50))
def test_many_clusters_keep_their_promises(simulation: ModuleType, first: int) -> None:
    for seed in range(first, first + 50):
        sim = simulation.Simulation(seed)
        sim.run(3 * STEPS)
        sim.settle()
