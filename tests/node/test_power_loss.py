"""A machine goes dark at every operation of its disks, in turn; what was acknowledged is there afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import trio

Machines = Callable[[int], Any]


async def check_restart(tools: Any, machine: Any, ledger: Any) -> None:
    """The machine comes back with everything; and again, after it was killed at once, with the same."""
    found = []

    async def look(node: Any) -> None:
        ledger.check(node)
        found.append(await tools.hash_of(node))
        machine.dark = True  # kill -9: nothing is written at the end
        await node.local.put(b"after", b"dark")

    for _ in range(2):
        with trio.fail_after(20):
            assert await tools.until_dark(machine, look)
        machine.restart(power_lost=False)
    assert found[0] == found[1]


async def crash_at(
    tools: Any, machine: Any, operation: int | None, seed: int, **settings: Any
) -> int:
    """Load, darkness at `operation`, restart, and once more; returns the operations of the load."""
    ledger = tools.ledger()
    load = tools.load(seed, ledger)
    for _ in range(2):
        machine.dies_at = operation
        with trio.fail_after(20):
            await tools.until_dark(machine, load.run, **settings)
        operations = machine.operations
        machine.restart(power_lost=True)
        await check_restart(tools, machine, ledger)
    return int(operations)


async def test_power_loss_at_every_operation(machine_of: Machines, crash_tools: Any) -> None:
    """Opening, writing, syncing, cutting, purging, committing: none is a bad moment."""
    operation, survived = 0, 0
    while survived < 3:
        operation += 1
        machine = machine_of(operation)
        done = await crash_at(crash_tools, machine, operation, operation)
        survived += done < operation


@pytest.mark.parametrize("snapshot_count", [1, 2])
async def test_power_loss_with_a_snapshot_at_each_entry(
    machine_of: Machines, crash_tools: Any, snapshot_count: int
) -> None:
    """Also at the entry that makes the member a voter, whose configuration the record must have."""
    for operation in range(10, 120, 7):
        machine = machine_of(operation)
        await crash_at(crash_tools, machine, operation, operation, snapshot_count=snapshot_count)


@pytest.mark.long
async def test_many_power_losses(machine_of: Machines, crash_tools: Any) -> None:
    """`POWER_LOSSES` of them, 500 by default, each at a random operation of a random load."""
    for seed in range(int(os.environ.get("POWER_LOSSES", "500"))):
        machine = machine_of(100_000 + seed)
        await crash_at(crash_tools, machine, machine.random.randrange(1, 250), seed)
