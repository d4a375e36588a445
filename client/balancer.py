"""Which of the connections that are ready takes the next call: each in turn."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["RoundRobin"]

T = TypeVar("T")


class RoundRobin(Generic[T]):
    """Members that take turns. One that joins or leaves does not disturb the order of the others."""

    __slots__ = ("_members", "_next")

    def __init__(self) -> None:
        self._members: list[T] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: T) -> bool:
        return member in self._members

    def add(self, member: T) -> None:
        """`member` takes part from now on."""
        if member not in self._members:
            self._members.append(member)

    def remove(self, member: T) -> None:
        """`member` takes part no more, if it did."""
        if member in self._members:
            at = self._members.index(member)
            del self._members[at]
            if at < self._next:
                self._next -= 1

    def pick(self) -> T | None:
        """Whose turn it is; None: nobody is there."""
        members = self._members
        if not members:
            return None
        at = self._next
        if at >= len(members):
            at = 0
        self._next = at + 1
        return members[at]
