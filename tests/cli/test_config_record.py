"""A `Config` made by an embedding program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import triode


@pytest.mark.parametrize("name", ["data_dir", "wal_dir"])
def test_a_path_may_be_a_text(name: str) -> None:
    """People write paths as texts; the node works with `Path`."""
    settings: dict[str, Any] = {name: "somewhere/else"}
    assert getattr(triode.Config(**settings), name) == Path("somewhere/else")
