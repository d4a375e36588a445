"""Which keys are a recipe's: those of its name in the form of its kind, and none that only begin alike.

The form of keys is etcd's. Its own recipes ask for everything that begins with a name, though, so that `jobs` takes from
`jobs-slow`, and `a` waits for who holds `a/b`. What a recipe makes is the same here and there; what it heeds is stricter here.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from .keys import KeyLike, Keys, as_bytes, prefix

__all__ = [
    "NUMBER",
    "Layout",
    "of_leases",
    "of_priorities",
    "of_queue",
    "of_readers_and_writers",
    "of_waiters",
    "of_writers",
]

LEASE: Final = re.compile(rb"-?[0-9a-f]+")
NUMBER: Final = re.compile(rb"\d+")
DATE: Final = re.compile(
    rb"\d{6,}"
)  # five digits: a priority queue's guard, if a name begins with `__`
PRIORITY: Final = re.compile(rb"\d{5}/\d{16,}")
WRITER: Final = re.compile(rb"write/\d+")
READER_OR_WRITER: Final = re.compile(rb"(?:read|write)/\d+")


@attrs.frozen
class Layout:
    """The keys of one recipe.

    Attributes:
        start: how they begin: the name, and what separates it from the rest.
        rest: what may follow, as a whole.
    """

    start: bytes
    rest: re.Pattern[bytes]

    @property
    def keys(self) -> Keys:
        """A range that has them all, and maybe others."""
        return prefix(self.start)

    def __contains__(self, key: bytes) -> bool:
        return key.startswith(self.start) and self.rest.fullmatch(key, len(self.start)) is not None


def of_leases(name: KeyLike) -> Layout:
    """Who waits for a lock or stands for an election."""
    return Layout(as_bytes(name) + b"/", LEASE)


def of_writers(name: KeyLike) -> Layout:
    """Who holds a read-write lock, or waits for it, in order to write."""
    return Layout(as_bytes(name) + b"/", WRITER)


def of_readers_and_writers(name: KeyLike) -> Layout:
    """Who holds a read-write lock, or waits for it."""
    return Layout(as_bytes(name) + b"/", READER_OR_WRITER)


def of_waiters(name: KeyLike) -> Layout:
    """Who waits at a double barrier, or is within."""
    return Layout(as_bytes(name) + b"/waiters/", NUMBER)


def of_queue(name: KeyLike) -> Layout:
    """What is in a queue."""
    return Layout(as_bytes(name) + b"/", DATE)


def of_priorities(name: KeyLike) -> Layout:
    """What is in a priority queue."""
    return Layout(as_bytes(name) + b"/", PRIORITY)
