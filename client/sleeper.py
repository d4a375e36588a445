"""A task that others wake: what `trio.Event` is for once, for again and again, and cheaply."""

from __future__ import annotations

import trio

__all__ = ["Sleeper"]


class Sleeper:
    """A place where one task at a time sleeps.

    Attributes:
        task: who sleeps here, if anybody.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None

    def wake(self) -> None:
        """Wake the task, if one sleeps here; nothing is remembered for one that comes later."""
        task = self.task
        if task is not None:
            self.task = None
            trio.lowlevel.reschedule(task)

    async def sleep(self) -> None:
        """Sleep until `wake`."""

        def abort(_: object) -> trio.lowlevel.Abort:
            self.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        assert self.task is None
        self.task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
