"""Leaving the block of a node with things in flight: an answer means durable, all else is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from triode.actors.call import Call
from triode.actors.node import Node, open_node
from triode.errors import EtcdError, Stopped, TooManyRequests
from triode.rpc.pb.rpc_pb2 import PutRequest

Machines = Callable[[int], Any]
SLOW_SECONDS = 0.004
PUT = "/etcdserverpb.KV/Put"


def slow(*operations: str) -> Callable[[str, Path], None]:
    """A disk so slow that syncs are done by a worker thread."""
    never = threading.Event()
    return lambda name, _path: never.wait(SLOW_SECONDS) if name in operations else None  # type: ignore[return-value]


class Answers:
    """A sink that keeps what each call ended in."""

    def __init__(self) -> None:
        self.ok: set[int] = set()
        self.refused: dict[int, EtcdError] = {}

    def answer(self, tag: int, message: bytes) -> None:
        del message
        assert tag not in self.ok
        assert tag not in self.refused
        self.ok.add(tag)

    def refuse(self, tag: int, error: EtcdError) -> None:
        assert tag not in self.ok
        assert tag not in self.refused
        self.refused[tag] = error


def put(node: Node, answers: Answers, number: int) -> None:
    request = PutRequest(key=b"%d" % number, value=b"v")
    node.dispatcher.call(PUT, request.SerializeToString(), Call(answers, number))


async def check_present(machine: Any, numbers: set[int]) -> None:
    machine.restart(power_lost=True)
    async with open_node(machine.config(), world=machine.world()) as node:
        keys = node.context.store.index.keys
        assert all(b"%d" % number in keys for number in numbers)


@pytest.mark.parametrize("waits", range(8))
@pytest.mark.parametrize("operation", ["fdatasync", "sync", "commit"])
async def test_stop_with_calls_in_flight(machine_of: Machines, waits: int, operation: str) -> None:
    """Whether the log, the snapshot or the backend is being written: the stop is graceful."""
    machine, answers, count = machine_of(waits), Answers(), 60
    machine.fault = slow(operation)
    with trio.fail_after(10):
        async with open_node(machine.config(), world=machine.world()) as node:
            for number in range(count):
                put(node, answers, number)
                if number % 20 == 19:
                    for _ in range(waits):
                        await trio.lowlevel.checkpoint()
    assert len(answers.ok) + len(answers.refused) == count, "everybody was told"
    assert {type(error) for error in answers.refused.values()} <= {Stopped}
    machine.fault = lambda _operation, _path: None
    await check_present(machine, answers.ok)


async def test_calls_after_the_stop_are_refused(machine_of: Machines) -> None:
    machine = machine_of(1)
    async with open_node(machine.config(), world=machine.world()) as node:
        await node.local.put(b"a", b"")
    with pytest.raises(Stopped, match="etcdserver: server stopped"):
        await node.local.put(b"b", b"")


async def test_stop_while_entries_are_read_back(machine_of: Machines) -> None:
    """A start that is cancelled while it reads the log again is not a failure."""
    machine, answers = machine_of(1), Answers()
    config = machine.config(snapshot_count=10_000)
    async with open_node(config, world=machine.world()) as node:
        for number in range(500):
            put(node, answers, number)
        await node.local.put(b"last", b"")
    machine.states = [{}]
    machine.restart(power_lost=False)
    for deadline in (0.0, 0.001, 0.002, 0.004):
        with trio.move_on_after(deadline):
            async with open_node(config, world=machine.world()):
                pass
    async with open_node(config, world=machine.world()) as node:
        assert (await node.local.get(b"\0", b"\0", count_only=True)).count == 501


async def test_cancelled_block(machine_of: Machines) -> None:
    """Cancelled is not graceful, and yet what was answered is there."""
    for waits in range(30):
        machine, answers = machine_of(waits), Answers()
        with trio.CancelScope() as scope:
            async with open_node(machine.config(), world=machine.world()) as node:
                for number in range(40):
                    put(node, answers, number)
                    if number % 10 == 9:
                        for _ in range(waits):
                            await trio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        await check_present(machine, answers.ok)


async def test_overload_is_refused_and_harms_nobody(machine_of: Machines) -> None:
    """More calls in one turn than all mailboxes hold: some are told so, the node's own messages pass."""
    machine, answers, count = machine_of(1), Answers(), 24_000
    machine.fault = slow("fdatasync")
    async with open_node(machine.config(snapshot_count=1000), world=machine.world()) as node:
        for _ in range(3):  # a slow disk is noticed
            await node.local.put(b"a", b"")
        put(node, answers, 0)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()  # its entry is on the way to the disk
        for number in range(1, count):
            put(node, answers, number)
        while len(answers.ok) + len(answers.refused) < count:
            await node.local.get(b"a")
    assert {type(error) for error in answers.refused.values()} == {TooManyRequests}
    assert len(answers.ok) > 10_000
    machine.fault = lambda _operation, _path: None
    await check_present(machine, answers.ok)


async def test_too_many_defragmentations_are_refused(machine_of: Machines) -> None:
    """What clients ask of the applier leaves room for entries."""
    machine, answers, count = machine_of(1), Answers(), 6000
    async with open_node(machine.config(), world=machine.world()) as node:
        for number in range(count):
            node.dispatcher.call("/etcdserverpb.Maintenance/Defragment", b"", Call(answers, number))
        await node.local.put(b"a", b"")
        while len(answers.ok) + len(answers.refused) < count:
            await node.local.get(b"a")
    assert {type(error) for error in answers.refused.values()} == {TooManyRequests}
