"""Which of the connections that are ready takes the next call: each in turn, but some only if there is no other."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["RoundRobin"]

T = TypeVar("T")


class RoundRobin(Generic[T]):
    """Members that take turns. One that joins or leaves does not disturb the order of the others."""

    __slots__ = ("_last", "_members", "_next")

    def __init__(self) -> None:
        self._members: list[T] = []
        self._last: list[T] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._members) + len(self._last)

    def __contains__(self, member: T) -> bool:
        return member in self._members or member in self._last

    def add(self, member: T) -> None:
        """`member` takes part from now on."""
        if member not in self:
            self._members.append(member)

    def put_last(self, member: T) -> bool:
        """`member` is picked only while there is no other, until `forgive`; whether that is new."""
        if member not in self._members:
            return False
        self.remove(member)
        self._last.append(member)
        return True

    def forgive(self, member: T) -> None:
        """`member` is as good as the others again."""
        if member in self._last:
            self._last.remove(member)
            self._members.append(member)

    def remove(self, member: T) -> None:
        """`member` takes part no more, if it did."""
        if member in self._last:
            self._last.remove(member)
        if member in self._members:
            at = self._members.index(member)
            del self._members[at]
            if at < self._next:
                self._next -= 1

    def pick(self) -> T | None:
        """Whose turn it is; None: nobody is there."""
        members = self._members
        if not members:
            if not self._last:
                return None
            self._last.append(self._last.pop(0))
            return self._last[-1]
        at = self._next
        if at >= len(members):
            at = 0
        self._next = at + 1
        return members[at]
