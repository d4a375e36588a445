"""The page is in the wheel, and is what the sources say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from triode.actors.ui.page import SCRIPTS, STYLES, page

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "actors" / "ui" / "static"
COPY = """
import sys
from setuptools import setup
sys.argv = ["setup.py", "-q", "build_py", "--build-lib", sys.argv[1]]
setup()
"""


def test_the_wheel_holds_every_file(tmp_path: Path) -> None:
    """What setuptools copies into a wheel; in a project that is a copy, so that nothing is left behind."""
    for path in ROOT.iterdir():
        if path.name in ("pyproject.toml", "README.md", "LICENSE", ".tree"):
            (tmp_path / path.name).symlink_to(path)
    built = tmp_path / "built"
    done = subprocess.run(
        [sys.executable, "-c", COPY, str(built)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    names = {path.name for path in STATIC.iterdir()}
    assert {path.name for path in (built / "triode/actors/ui/static").iterdir()} == names
    assert (built / "triode/actors/ui/page.py").exists()


def test_every_source_is_in_the_page() -> None:
    assert {path.name for path in STATIC.iterdir()} == {*SCRIPTS, *STYLES, "page.html"}
    text = page().body.decode()
    for name in (*SCRIPTS, *STYLES):
        assert (STATIC / name).read_text() in text
    assert len(page().body) < 120_000


def test_the_sources_cannot_make_html_of_text() -> None:
    """The policy would refuse it; nothing tries."""
    for name in SCRIPTS:
        source = (STATIC / name).read_text()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert word not in source


def test_rooms_are_small() -> None:
    """As those of the Python code."""
    lengths = {path.name: len(path.read_text().splitlines()) for path in STATIC.iterdir()}
    assert max(lengths.values()) <= 300
