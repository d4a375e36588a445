"""A one-shot slot for one answer: what an `ask` puts into its message."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, reschedule, wait_task_rescheduled

__all__ = ["Reply"]

R = TypeVar("R")


class Reply(Generic[R]):
    """The handle through which an actor answers a request, once.

    `abandoned` is true when no one waits for the answer any more (the asker timed out or was
    cancelled): the work may be skipped, and answering has no effect.
    """

    __slots__ = ("_error", "_settled", "_task", "_value", "abandoned")

    def __init__(self) -> None:
        self.abandoned = False
        self._settled = False
        self._value: R | None = None
        self._error: BaseException | None = None
        self._task: Task | None = None

    @property
    def settled(self) -> bool:
        return self._settled

    def set(self, value: R) -> None:
        """Answer with `value`. An answer that comes after another one is ignored."""
        if not self._settled:
            self._value = value
            self._settle()

    def fail(self, error: BaseException) -> None:
        """Answer with `error`, which is raised at the asker."""
        if not self._settled:
            self._error = error
            self._settle()

    async def wait(self) -> R:
        """The answer, once it is there; raises the error given to `fail`. One task may wait."""
        if self._settled:
            await trio.lowlevel.checkpoint()
        else:
            if self._task is not None:
                raise trio.BusyResourceError("another task is waiting for this reply")
            self._task = trio.lowlevel.current_task()
            await wait_task_rescheduled(self._abort)
        if self._error is not None:
            raise self._error
        return cast("R", self._value)

    def _settle(self) -> None:
        self._settled = True
        if self._task is not None:
            task, self._task = self._task, None
            reschedule(task)

    def _abort(self, _: RaiseCancelT) -> Abort:
        self._task = None
        return Abort.SUCCEEDED
