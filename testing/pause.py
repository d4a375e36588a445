"""Stopping a machine's tasks where they are, as SIGSTOP does, while time goes on for the others."""

from __future__ import annotations

import trio
import trio._core._run as scheduler

from .trace import MACHINE

__all__ = ["Freezer"]


class Freezer(trio.abc.Instrument):
    """Holds back tasks of frozen machines when they become ready to run.

    It is installed only while a machine is frozen, and costs nothing otherwise.
    """

    def __init__(self) -> None:
        self._held: dict[str, list[trio.lowlevel.Task]] = {}

    def freeze(self, name: str) -> None:
        """Let no task of the machine run any more; those that are ready run one last time."""
        if not self._held:
            trio.lowlevel.add_instrument(self)
        self._held.setdefault(name, [])

    def thaw(self, name: str) -> None:
        """Let the machine's tasks run again."""
        if name not in self._held:
            return
        held = self._held.pop(name)
        if not self._held:
            trio.lowlevel.remove_instrument(self)
        scheduler.GLOBAL_RUN_CONTEXT.runner.runq.extend(held)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        held = self._held.get(task.context.get(MACHINE, "-"))
        if held is None:
            return
        queue = scheduler.GLOBAL_RUN_CONTEXT.runner.runq
        assert queue[-1] is task, "it has just been put there"
        queue.pop()
        held.append(task)
