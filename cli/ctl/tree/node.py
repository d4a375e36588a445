"""A tree of keys, and how many there are below each branch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

__all__ = ["Key", "KeyTree", "Node"]


@attrs.frozen
class Key:
    """What is shown of one key."""

    value: bytes
    mod_revision: int
    lease: int = 0


@attrs.define(eq=False)
class Node:
    """A part of a path. It may be a key, have keys below it, or both."""

    key: Key | None = None
    keys: int = 0  # this one and all below
    children: dict[bytes, Node] = attrs.Factory(dict)
    hidden: bool = False  # what is below is counted only


class KeyTree:
    """Keys below one branch of the key space.

    Args:
        prefix: keys begin with it. The root of the tree is the last branch that holds all of them: `/a/` for
            `/a/b`, which may begin the name of several.
        delimiter: between the parts of a path; not empty.
        depth_max: deeper levels are counted only; 0: no limit.
    """

    def __init__(self, prefix: bytes, delimiter: bytes, depth_max: int = 0) -> None:
        if not delimiter:
            raise ValueError("the delimiter must not be empty")
        self.base = (
            prefix[: prefix.rfind(delimiter) + len(delimiter)] if delimiter in prefix else b""
        )
        self.delimiter = delimiter
        self.depth_max = depth_max
        self.root = Node()

    def add(self, name: bytes, key: Key) -> None:
        """Put a key in."""
        parts = self._parts(name)
        hidden = 0 < self.depth_max < len(parts)
        node = self._branch(parts[: self.depth_max] if hidden else parts, 1)
        if hidden:
            node.hidden = True
        else:
            node.key = key

    def add_hidden(self, branch: bytes, keys: int) -> None:
        """Count so many keys below a branch that `hidden_branch` named."""
        parts = self._parts(branch.removesuffix(self.delimiter))
        self._branch(parts, keys).hidden = True

    def hidden_branch(self, name: bytes) -> bytes | None:
        """The branch, with the delimiter at its end, whose keys are counted only and which holds this one."""
        parts = self._parts(name)
        if not 0 < self.depth_max < len(parts):
            return None
        return self.base + self.delimiter.join(parts[: self.depth_max]) + self.delimiter

    def _parts(self, name: bytes) -> list[bytes]:
        return name[len(self.base) :].split(self.delimiter)

    def _branch(self, parts: Sequence[bytes], keys: int) -> Node:
        node = self.root
        node.keys += keys
        for part in parts:
            node = node.children.setdefault(part, Node())
            node.keys += keys
        return node

    def branches(self) -> int:
        """How many nodes have others below them, without the root."""
        return sum(1 for node in self._all() if node.children or node.hidden) - bool(
            self.root.children
        )

    def _all(self) -> Iterator[Node]:
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children.values())
