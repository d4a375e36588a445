"""What a mistyped command may have meant, as cobra suggests it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["did_you_mean", "distance"]

_DISTANCE_MAX: Final = 2


def did_you_mean(word: str, names: Sequence[str]) -> str:
    """Lines to append to an error; "" if nothing is near."""
    near = [
        name
        for name in names
        if distance(word.lower(), name.lower()) <= _DISTANCE_MAX
        or name.lower().startswith(word.lower())
    ]
    if not near:
        return ""
    return "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in near)


def distance(one: str, other: str) -> int:
    """Levenshtein's distance: how many letters to add, drop or change."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            before, row[j] = (
                row[j],
                before if left == right else 1 + min(before, row[j], row[j - 1]),
            )
    return row[-1]
