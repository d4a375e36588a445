"""The life of an actor as a table of data: `LIFE`. docs/actors.md draws its diagram from it."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["LIFE", "State", "life_diagram"]


class State(enum.Enum):
    """Where an actor is in its life."""

    NEW = "new"  # made, not started; its mailbox already takes messages
    STARTING = "starting"  # in `started()`
    RUNNING = "running"  # in `run()`, which hands batches to `handle()`
    STOPPING = "stopping"  # asked to stop: handles what is in its mailbox, then `stopping()`
    WAITING = "waiting"  # down, and to be started again; its mailbox takes messages
    STOPPED = "stopped"  # for good; its mailbox is closed


# (from, to): what makes it so. Nothing else happens; `Cell` asserts it.
LIFE: Final[dict[tuple[State, State], str]] = {
    (State.NEW, State.STARTING): "its supervisor starts it",
    (State.NEW, State.STOPPED): "an elder sibling failed to start",
    (State.STARTING, State.RUNNING): "started() returned",
    (State.STARTING, State.STOPPING): "asked to stop",
    (State.STARTING, State.WAITING): "failed or taken down, to be restarted",
    (State.STARTING, State.STOPPED): "failed or cancelled, not to be restarted",
    (State.RUNNING, State.STOPPING): "asked to stop",
    (State.RUNNING, State.WAITING): "crashed, ended or taken down, to be restarted",
    (State.RUNNING, State.STOPPED): "crashed, ended or cancelled, not to be restarted",
    (State.STOPPING, State.STOPPED): "stopping() returned, failed, or took too long",
    (State.WAITING, State.STARTING): "back-off over",
    (State.WAITING, State.STOPPED): "asked to stop, or its supervisor stopped",
}


def life_diagram() -> str:
    """`LIFE` as a Mermaid state diagram."""
    arrows = [f"    {a.value} --> {b.value}: {why}" for (a, b), why in LIFE.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> new", *arrows, "    stopped --> [*]"])
