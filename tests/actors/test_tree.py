from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from trio.testing import MockClock

from triode.actors import State, Supervisor, running
from triode.actors.life import LIFE

MakeProbe = Callable[..., Any]

PICTURE = """\
node         running   mailbox 0/1000000 (high 0)  handled 0  restarts 0
  storage    running   mailbox 0/1000000 (high 1)  handled 1  restarts 0
    wal      running   mailbox 0/1024 (high 2)  handled 2  restarts 0
    applier  running   mailbox 0/1024 (high 1)  handled 1  restarts 1  last error: ValueError: applier was told to crash
  listener   running   mailbox 0/1024 (high 0)  handled 0  restarts 0"""


async def test_the_tree_as_text(probe: MakeProbe, autojump_clock: MockClock) -> None:
    wal, applier = probe("wal"), probe("applier")
    tree = Supervisor("node", [Supervisor("storage", [wal, applier]), probe("listener")])
    async with running(tree) as node:
        wal.ref.tell("1")
        wal.ref.tell("2")
        applier.ref.tell("crash")
        await trio.sleep(1)
        assert str(node.tree()) == PICTURE


async def test_the_tree_as_records(probe: MakeProbe) -> None:
    node = Supervisor("node", [Supervisor("storage", [probe("wal")]), probe("listener")])
    assert {s.state for _, s in node.tree().walk()} == {State.NEW}
    async with running(node):
        tree = node.tree()
    assert [(depth, s.name) for depth, s in tree.walk()] == [
        (0, "node"),
        (1, "storage"),
        (2, "wal"),
        (1, "listener"),
    ]
    found = tree.find("wal")
    assert found is not None
    assert found.state is State.RUNNING
    assert tree.find("nobody") is None
    assert str(node.tree()).startswith("node  stopped")


def test_every_state_is_reached_and_all_but_the_last_are_left() -> None:
    assert {target for _, target in LIFE} == set(State) - {State.NEW}
    assert {source for source, _ in LIFE} == set(State) - {State.STOPPED}
