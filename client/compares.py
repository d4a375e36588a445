"""Conditions of transactions: `key("k").value == b"1"`, `key("j").absent`, `key(prefix("a/")).mod_revision < 7`.

Comparing gives a `Condition`, not a bool, so that a condition cannot be used in an `if` by mistake.
"""

from __future__ import annotations

from typing import Final, Literal, NoReturn

import attrs

from ..rpc.pb.rpc_pb2 import Compare
from .keys import KeyLike, KeysLike, as_bytes
from .namespace import Namespace

__all__ = ["Condition", "ComparedKey", "NumberField", "ValueField", "key"]

Target = Literal["version", "create_revision", "mod_revision", "lease", "value"]
_TARGETS: Final = {
    "version": Compare.VERSION,
    "create_revision": Compare.CREATE,
    "mod_revision": Compare.MOD,
    "lease": Compare.LEASE,
    "value": Compare.VALUE,
}
_RESULTS: Final = {
    "==": Compare.EQUAL,
    "!=": Compare.NOT_EQUAL,
    ">": Compare.GREATER,
    "<": Compare.LESS,
}


@attrs.frozen
class Condition:
    """One condition. Of a range of keys, it must hold for each; where no key is, version and revisions are 0.

    Attributes:
        keys: whose.
        target: what of them.
        result: "==", "!=", ">" or "<".
        operand: what it is compared with.
    """

    keys: KeysLike
    target: Target
    result: Literal["==", "!=", ">", "<"]
    operand: int | bytes

    def encoded(self, space: Namespace) -> Compare:
        """The condition as etcd's requests say it."""
        wanted = space.full_range(self.keys)
        message = Compare(
            key=wanted.key,
            range_end=wanted.range_end,
            target=_TARGETS[self.target],
            result=_RESULTS[self.result],
        )
        setattr(message, self.target, self.operand)
        return message

    def __bool__(self) -> NoReturn:
        raise TypeError("a condition is for `when(...)`; only the server knows whether it holds")


@attrs.frozen(eq=False)
class NumberField:
    """A number of a key, to be compared: its version, a revision, its lease."""

    keys: KeysLike
    target: Target

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: int) -> Condition:  # type: ignore[override]
        return Condition(self.keys, self.target, "==", other)

    def __ne__(self, other: int) -> Condition:  # type: ignore[override]
        return Condition(self.keys, self.target, "!=", other)

    def __gt__(self, other: int) -> Condition:
        return Condition(self.keys, self.target, ">", other)

    def __lt__(self, other: int) -> Condition:
        return Condition(self.keys, self.target, "<", other)

    def __ge__(self, other: int) -> Condition:
        return Condition(self.keys, self.target, ">", other - 1)

    def __le__(self, other: int) -> Condition:
        return Condition(self.keys, self.target, "<", other + 1)


@attrs.frozen(eq=False)
class ValueField:
    """The value of a key, to be compared, byte by byte. Of a key that is not there, no comparison holds."""

    keys: KeysLike

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: KeyLike) -> Condition:  # type: ignore[override]
        return Condition(self.keys, "value", "==", as_bytes(other))

    def __ne__(self, other: KeyLike) -> Condition:  # type: ignore[override]
        return Condition(self.keys, "value", "!=", as_bytes(other))

    def __gt__(self, other: KeyLike) -> Condition:
        return Condition(self.keys, "value", ">", as_bytes(other))

    def __lt__(self, other: KeyLike) -> Condition:
        return Condition(self.keys, "value", "<", as_bytes(other))


@attrs.frozen
class ComparedKey:
    """A key, or a range of keys, whose state a transaction depends on. Made by `key`."""

    keys: KeysLike

    @property
    def value(self) -> ValueField:
        """Its value: ==, !=, <, >."""
        return ValueField(self.keys)

    @property
    def version(self) -> NumberField:
        """How often it was set since it was created; 0: it is not there."""
        return NumberField(self.keys, "version")

    @property
    def create_revision(self) -> NumberField:
        """The revision that created it; 0: it is not there."""
        return NumberField(self.keys, "create_revision")

    @property
    def mod_revision(self) -> NumberField:
        """The revision that last set it; 0: it is not there."""
        return NumberField(self.keys, "mod_revision")

    @property
    def lease(self) -> NumberField:
        """The number of its lease; 0: none."""
        return NumberField(self.keys, "lease")

    @property
    def absent(self) -> Condition:
        """It is not there."""
        return Condition(self.keys, "create_revision", "==", 0)

    @property
    def present(self) -> Condition:
        """It is there."""
        return Condition(self.keys, "create_revision", ">", 0)


def key(keys: KeysLike) -> ComparedKey:
    """The key, or range of keys, that a condition is about."""
    return ComparedKey(keys)
