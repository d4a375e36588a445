"""A bounded queue with one receiver, who drains it in batches.

Theory of operation. The hot path is `put_nowait` (append to a list) and one wake-up per *batch*, not
per message: the first message wakes the parked receiver, which runs at Trio's next turn and finds
everything that arrived until then. `receive` is a checkpoint on every call, so a flooded receiver
lets its producers run, and their messages make the next batch larger.

A full mailbox is a designed case: `put_nowait` raises `MailboxFull` (shed), `put` parks the sender
(back-pressure). Parked messages move into the queue, in order, at the moment the receiver makes
room, so `put_nowait` cannot overtake them.

Rule of the file: messages change hands in synchronous code only. A cancelled `put` has not put,
a cancelled `receive` has not taken.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import attrs
import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, reschedule, wait_task_rescheduled

from .errors import MailboxClosed, MailboxFull

__all__ = ["Mailbox", "MailboxStatistics"]

T = TypeVar("T")


@attrs.frozen
class MailboxStatistics:
    """A mailbox at one moment; all counts are of messages, since the mailbox was made."""

    depth: int
    depth_max: int  # the high-water mark
    messages_max: int
    messages_received: int
    batches_received: int
    senders_waiting: int
    closed: bool


class Mailbox(Generic[T]):
    """A bounded queue of messages with one receiver.

    Args:
        messages_max: how many messages it holds; at least 1.
        batch_max: how many messages one `receive` returns at most; at least 1.
        name: for error texts.
    """

    __slots__ = (
        "_batch_max",
        "_batches",
        "_closed",
        "_depth_max",
        "_items",
        "_messages_max",
        "_received",
        "_receiver",
        "_room",
        "_senders",
        "name",
    )

    def __init__(self, messages_max: int, *, batch_max: int = 1024, name: str = "mailbox") -> None:
        if messages_max < 1 or batch_max < 1:
            raise ValueError("messages_max and batch_max must be at least 1")
        self.name: Final = name
        self._messages_max: Final = messages_max
        self._batch_max: Final = batch_max
        self._room = messages_max  # -1 once closed, so that put_nowait needs one comparison
        self._items: list[T] = []
        self._receiver: Task | None = None
        self._senders: dict[Task, T] = {}
        self._closed = False
        self._depth_max = 0
        self._received = 0
        self._batches = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def put_nowait(self, message: T) -> None:
        """Append `message`, or raise `MailboxFull` or `MailboxClosed`."""
        items = self._items
        if len(items) >= self._room:
            raise self._refusal()
        items.append(message)
        if self._receiver is not None:
            self._wake_receiver()

    async def put(self, message: T) -> None:
        """Append `message`, waiting for room; raises `MailboxClosed`. Cancelled means not put."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if len(self._items) < self._room:
            self.put_nowait(message)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        if self._closed:
            raise self._refusal()
        task = trio.lowlevel.current_task()

        def abort(_: RaiseCancelT) -> Abort:
            del self._senders[task]
            return Abort.SUCCEEDED

        self._senders[task] = message
        if not await wait_task_rescheduled(abort):
            raise self._refusal()

    async def receive(self) -> list[T]:
        """Everything there, up to `batch_max` messages and at least one, waiting for the first.

        Raises:
            MailboxClosed: it was closed, and everything in it has been received.
            trio.BusyResourceError: another task is receiving.
        """
        if self._items or self._closed:
            await trio.lowlevel.checkpoint()
        while not self._items:
            if self._closed:
                raise self._refusal()
            await self._wait_for_message()
        return self.receive_nowait()

    def receive_nowait(self) -> list[T]:
        """What is there, up to `batch_max` messages, perhaps none."""
        items = self._items
        depth = len(items)
        if depth == 0:
            return items[:]
        self._depth_max = max(self._depth_max, depth)
        if depth <= self._batch_max:
            self._items = []
            batch = items
        else:
            batch = items[: self._batch_max]
            del items[: self._batch_max]
        self._received += len(batch)
        self._batches += 1
        if self._senders:
            self._admit_senders()
        return batch

    def pass_through(self, message: T) -> list[T]:
        """`put_nowait` and `receive_nowait` in one; the receiver's task is left asleep."""
        if len(self._items) >= self._room:
            raise self._refusal()
        self._items.append(message)
        return self.receive_nowait()

    def close(self) -> None:
        """Take no more messages. What is there can still be received; waiting senders fail."""
        self._closed = True
        self._room = -1
        for task in self._senders:
            reschedule(task, outcome.Value(False))
        self._senders.clear()
        if self._receiver is not None:
            self._wake_receiver()

    def peek(self) -> list[T]:
        """The messages that no one has received yet, those of waiting senders included."""
        return [*self._items, *self._senders.values()]

    def clear(self) -> int:
        """Drop the messages in the queue and return how many there were."""
        dropped = len(self._items)
        self._items.clear()
        self._admit_senders()
        return dropped

    def statistics(self) -> MailboxStatistics:
        depth = len(self._items)
        return MailboxStatistics(
            depth=depth,
            depth_max=max(self._depth_max, depth),
            messages_max=self._messages_max,
            messages_received=self._received,
            batches_received=self._batches,
            senders_waiting=len(self._senders),
            closed=self._closed,
        )

    async def _wait_for_message(self) -> None:
        if self._receiver is not None:
            raise trio.BusyResourceError(f"{self.name}: another task is receiving")
        self._receiver = trio.lowlevel.current_task()

        def abort(_: RaiseCancelT) -> Abort:
            self._receiver = None
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)

    def _wake_receiver(self) -> None:
        receiver, self._receiver = self._receiver, None
        assert receiver is not None
        reschedule(receiver)

    def _admit_senders(self) -> None:
        room = self._room - len(self._items)
        for task in list(self._senders)[: max(room, 0)]:
            self._items.append(self._senders.pop(task))
            reschedule(task, outcome.Value(True))
        if self._items and self._receiver is not None:
            self._wake_receiver()

    def _refusal(self) -> MailboxFull | MailboxClosed:
        if self._closed:
            return MailboxClosed(f"{self.name}: the mailbox is closed")
        return MailboxFull(f"{self.name}: the mailbox is full ({self._messages_max} messages)")
