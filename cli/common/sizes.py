"""Sizes as etcd's tools show them: decimal units, two figures at most below ten."""

from __future__ import annotations

from typing import Final

__all__ = ["human_size"]

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def human_size(size_bytes: int) -> str:
    """A number of bytes: "9 B", "20 kB", "1.5 MB"."""
    if size_bytes < 10:
        return f"{size_bytes} B"
    unit = min((len(str(size_bytes)) - 1) // 3, len(_UNITS) - 1)
    tenths = (size_bytes * 10 + 1000**unit // 2) // 1000**unit
    if tenths < 100:
        return f"{tenths // 10}.{tenths % 10} {_UNITS[unit]}"
    # Go's %.0f rounds halves to even.
    whole, part = divmod(tenths, 10)
    whole += part > 5 or (part == 5 and whole % 2 == 1)
    return f"{whole} {_UNITS[unit]}"
