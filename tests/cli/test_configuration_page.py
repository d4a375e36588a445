"""docs/configuration.md is what `Config` says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import attrs
import tomli

from triode.config import Config
from triode.settings import Source, build

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_current() -> None:
    """After a change of a setting: `python docs/generate_configuration.py`."""
    generated = runpy.run_path(str(DOCS / "generate_configuration.py"))["reference"]()
    assert (DOCS / "configuration.md").read_text("utf-8") == generated


def test_the_example_is_valid() -> None:
    """People copy it."""
    page = (DOCS / "configuration.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    config = build(Source(tomli.loads(example), lambda name: name))
    assert config.quota_backend_bytes == 8 << 30


def test_every_setting_is_read() -> None:
    """A setting that nobody reads would promise what is not kept."""
    root = DOCS.parent
    folders = ("actors", "cli", "mvcc")
    sources = "".join(path.read_text() for name in folders for path in (root / name).rglob("*.py"))
    read = {name for name in attrs.fields_dict(Config) if re.search(rf"config\.{name}\b", sources)}
    assert set(attrs.fields_dict(Config)) - read == {"logger"}
