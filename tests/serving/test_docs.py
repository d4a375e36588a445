"""The bounds that docs/serving.md tells are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
ROW = re.compile(r"^\| `([\w.]+)\.(\w+)` \| ([\d.]+) \|", re.MULTILINE)


def test_bounds() -> None:
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) > 10
    for module, name, value in rows:
        assert str(getattr(import_module(f"triode.actors.{module}"), name)) == value, name
