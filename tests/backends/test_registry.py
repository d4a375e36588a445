from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.backends.registry import engine_class, engine_names, open_engine
from triode.backends.sqlite import SqliteEngine
from triode.errors import ConfigError


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if distributions had been installed which bring engines of these names."""
    group = "triode.backends"
    installed = EntryPoints(
        [
            EntryPoint("other", "triode.backends.mirror:ModelEngine", group),
            EntryPoint("broken", "triode.backends.nowhere:Engine", group),
            EntryPoint("wrong", "pathlib:Path", group),
        ]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **kw: installed.select(**kw))


def test_the_built_in_engines_are_known_without_metadata(third_party: None) -> None:
    assert engine_class("memory") is MemoryEngine
    assert engine_class("sqlite") is SqliteEngine
    assert {"memory", "sqlite"} <= set(engine_names())


def test_installed_engines_are_opened_by_name(third_party: None) -> None:
    engine = open_engine("other", None)
    assert engine.name == "model"
    assert engine_names() == ["broken", "memory", "other", "sqlite", "wrong"]


def test_an_unknown_name_names_the_nearest(third_party: None) -> None:
    with pytest.raises(ConfigError, match="no backend 'sqllite': did you mean 'sqlite'"):
        engine_class("sqllite")
    with pytest.raises(ConfigError, match="known are broken, memory, other, sqlite, wrong"):
        engine_class("qqq")


def test_an_engine_that_does_not_load_says_why(third_party: None) -> None:
    with pytest.raises(ConfigError, match=r"triode\.backends\.nowhere"):
        engine_class("broken")
    with pytest.raises(ConfigError, match="not a subclass"):
        engine_class("wrong")


def test_a_durable_engine_needs_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="path"):
        open_engine("sqlite", None)
    open_engine("sqlite", tmp_path / "db", EngineOptions(cache_bytes=1 << 20)).close()


def test_naming_a_built_in_engine_loads_no_other() -> None:
    code = (
        "import sys; from triode.backends.registry import engine_class; engine_class('memory');"
        "sys.exit('sqlite3' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
