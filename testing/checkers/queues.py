"""Queues keep to their bounds, and are empty when nothing is going on."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .violation import Violation

__all__ = ["QueueSample", "check_queues"]


@attrs.frozen
class QueueSample:
    """One look at a queue or a table of what waits. `idle` says that it ought to be empty by now."""

    member: int
    name: str
    length: int
    length_max: int
    idle: bool = False


def check_queues(samples: Iterable[QueueSample]) -> list[Violation]:
    """Find queues over their bound, and idle ones that still hold something."""
    found = []
    for one in samples:
        if one.length > one.length_max:
            text = (
                f"member {one.member:x}: {one.name} holds {one.length} of at most {one.length_max}"
            )
            found.append(Violation("bounded queues", text))
        elif one.idle and one.length:
            text = f"member {one.member:x}: {one.name} still holds {one.length} when all is done"
            found.append(Violation("bounded queues", text))
    return found
