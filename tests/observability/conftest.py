"""A node in this program, and its metrics page as numbers."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Samples = dict[str, float]


@pytest.fixture
def parse() -> Callable[[bytes], Samples]:
    """The samples of a metrics page: `name{label="value"}`, labels in order, to its number."""

    def samples(page: bytes) -> Samples:
        found = {}
        for line in page.decode().splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                labels = sorted(re.findall(r'\w+="(?:[^"\\]|\\.)*"', name))
                base = name.partition("{")[0]
                found[f"{base}{{{','.join(labels)}}}" if labels else base] = float(value)
        return found

    return samples
