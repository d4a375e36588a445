"""The page about the wire names every limit."""

from __future__ import annotations

from pathlib import Path

import attrs

from triode.rpc.h2 import Limits

PAGE = Path(__file__).parents[2] / "docs" / "rpc-wire.md"


def test_every_limit_is_documented() -> None:
    page = PAGE.read_text()
    missing = [field.name for field in attrs.fields(Limits) if f"`{field.name}`" not in page]
    assert not missing


def test_every_module_is_documented() -> None:
    page = PAGE.read_text()
    folders = [PAGE.parents[1] / "rpc" / name for name in ("h2", "grpc")]
    modules = [path.name for folder in folders for path in folder.glob("[!_]*.py")]
    assert len(modules) > 25
    assert not [name for name in modules if f"`{name}`" not in page]
