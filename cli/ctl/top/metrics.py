"""Prometheus' text format, as far as the view needs it."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Metrics", "parse"]

_LINE: Final = re.compile(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)(?: \d+)?$")


class Metrics:
    """The figures of one page, by name; those with labels are summed up."""

    def __init__(self, values: dict[str, float]) -> None:
        self._values = values

    def get(self, *names: str) -> float | None:
        """The first of these names that the page has."""
        for name in names:
            if name in self._values:
                return self._values[name]
        return None


def parse(page: str) -> Metrics:
    """Read a page; lines that are none of the format's are passed over."""
    values: dict[str, float] = {}
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        found = _LINE.match(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        values[found[1]] = values.get(found[1], 0.0) + value
    return Metrics(values)
