"""Which keys are meant: one, a range, a prefix, or all from one on, as `get`, `del` and `watch` say it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ...client.keys import prefix_end
from ..common.exits import BAD_ARGUMENTS, Failure
from ..common.flags import FlagValues
from ..common.goquote import as_bytes

__all__ = ["FIRST", "OPEN_END", "KeyRange"]

FIRST = b"\x00"
"""The smallest key that there can be."""
OPEN_END = b"\x00"
"""The end of a range that has none."""


@attrs.frozen
class KeyRange:
    """How keys are selected.

    Args:
        prefix: all that begin with the key.
        from_key: the key and all after it.
    """

    prefix: bool
    from_key: bool

    @classmethod
    def of(cls, flags: FlagValues) -> KeyRange:
        """As `--prefix` and `--from-key` say. Raises Failure if both do."""
        chosen = cls(flags.switch("prefix"), flags.switch("from-key"))
        if chosen.prefix and chosen.from_key:
            raise Failure(
                "`--prefix` and `--from-key` cannot be set at the same time, choose one",
                BAD_ARGUMENTS,
            )
        return chosen

    def select(self, arguments: Sequence[str]) -> tuple[bytes, bytes]:
        """The key and the end of the range, as requests bear them; more arguments than two are ignored.

        Raises:
            Failure: an end is given beside `--prefix` or `--from-key`.
        """
        key = as_bytes(arguments[0])
        if len(arguments) > 1 and (self.prefix or self.from_key):
            raise Failure(
                "too many arguments, only accept one argument when"
                " `--prefix` or `--from-key` is set",
                BAD_ARGUMENTS,
            )
        if self.from_key or (self.prefix and not key):
            return key or FIRST, OPEN_END
        if self.prefix:
            return key, prefix_end(key)
        return key, as_bytes(arguments[1]) if len(arguments) > 1 else b""
