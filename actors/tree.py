"""Looking at a running tree: one frozen record per actor, printable as an indented text."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .life import State

__all__ = ["ActorStatistics", "Tree"]


@attrs.frozen
class ActorStatistics:
    """An actor at one moment. Counts cover all its incarnations."""

    name: str
    state: State
    since: float | None  # when it entered the state, in Trio's clock's seconds; None before that
    mailbox_depth: int
    mailbox_depth_max: int  # the high-water mark
    mailbox_messages_max: int
    messages_handled: int  # taken from the mailbox; those in hand are included
    batches_handled: int
    restarts: int
    last_error: str | None


@attrs.frozen
class Tree:
    """An actor and those below it, in start order."""

    statistics: ActorStatistics
    children: tuple[Tree, ...]

    def walk(self, depth: int = 0) -> Iterator[tuple[int, ActorStatistics]]:
        """Each actor with its depth, a parent before its children."""
        yield depth, self.statistics
        for child in self.children:
            yield from child.walk(depth + 1)

    def find(self, name: str) -> ActorStatistics | None:
        """The first actor of that name, or None."""
        return next((s for _, s in self.walk() if s.name == name), None)

    def __str__(self) -> str:
        rows = [("  " * depth + s.name, s) for depth, s in self.walk()]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {_columns(s)}" for label, s in rows)


def _columns(s: ActorStatistics) -> str:
    text = (
        f"{s.state.value:<8}  mailbox {s.mailbox_depth}/{s.mailbox_messages_max}"
        f" (high {s.mailbox_depth_max})  handled {s.messages_handled}  restarts {s.restarts}"
    )
    return text if s.last_error is None else f"{text}  last error: {s.last_error}"
