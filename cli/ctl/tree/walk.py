"""Which ranges to read for a tree: pages of keys, and a count instead of what would not be shown."""

from __future__ import annotations

import attrs

from ....client.keys import prefix_end
from .node import Key, KeyTree

__all__ = ["Pair", "Read", "Walk"]


@attrs.frozen
class Read:
    """One range to read: [start, end), of keys or only how many there are."""

    start: bytes
    end: bytes  # b"\x00": to the end of the key space
    count_only: bool


@attrs.frozen
class Pair:
    """A key as it was read."""

    name: bytes
    key: Key


class Walk:
    """Reads a range into a tree.

    A page that ends in the midst of a branch too deep to be shown is not followed by the rest of that
    branch: the rest is counted by the server, and the next page begins behind it. A few levels of a huge
    key space take a few requests.

    Usage: `while read := walk.next(): ...` then `page` or `counted` with what it gave.
    """

    def __init__(self, tree: KeyTree, start: bytes, end: bytes) -> None:
        self._tree = tree
        self._end = end
        self._next: Read | None = Read(start, end, count_only=False)
        self._branch = b""

    def next(self) -> Read | None:
        """What to read next; None: all is there."""
        return self._next

    def page(self, pairs: list[Pair], *, more: bool) -> None:
        """Take a page of keys, in their order; `more`: the range has further ones."""
        for pair in pairs:
            self._tree.add(pair.name, pair.key)
        if not more or not pairs:
            self._next = None
            return
        after = pairs[-1].name + b"\x00"
        branch = self._tree.hidden_branch(pairs[-1].name)
        if branch is None:
            self._next = Read(after, self._end, count_only=False)
            return
        self._branch = branch
        self._next = Read(after, prefix_end(branch), count_only=True)

    def counted(self, keys: int) -> None:
        """Take the number of keys that are left in a branch."""
        assert self._next is not None
        if keys:
            self._tree.add_hidden(self._branch, keys)
        start = self._next.end
        at_end = start == b"\x00"  # no key can be behind this branch
        self._next = None if at_end else Read(start, self._end, count_only=False)
