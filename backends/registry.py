"""Engines by name: the built-in ones, and those of the entry point group `triode.backends`."""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path

from ..errors import ConfigError
from .contract import Engine, EngineOptions

__all__ = ["ENTRY_POINT_GROUP", "engine_class", "engine_names", "open_engine"]

ENTRY_POINT_GROUP = "triode.backends"

# Known without metadata, so that a source tree or a frozen application works too.
_BUILT_IN = {"memory": "MemoryEngine", "sqlite": "SqliteEngine"}


def engine_names() -> list[str]:
    """Every engine that can be opened by name, sorted."""
    from importlib.metadata import entry_points

    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def engine_class(name: str) -> type[Engine]:
    """The engine called `name`; raises `ConfigError` when there is none or it does not load."""
    found: object
    if name in _BUILT_IN:
        found = getattr(import_module(f".{name}", __package__), _BUILT_IN[name])
    else:
        found = _third_party(name)
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise ConfigError(f"backend {name!r}: {found!r} is not a subclass of triode's Engine")
    return found


def _third_party(name: str) -> object:
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            return point.load()
        except Exception as error:
            raise ConfigError(f"backend {name!r} does not load ({point.value}): {error}") from error
    names = engine_names()
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"there is no backend {name!r}: {hint}known are {', '.join(names)}")


def open_engine(name: str, path: Path | None, options: EngineOptions | None = None) -> Engine:
    """Open the engine called `name` at `path` (None for engines that keep nothing on disk)."""
    cls = engine_class(name)
    if path is None and cls.durable:
        raise ConfigError(f"backend {name!r} keeps its data in a file: give it a path")
    return cls.open(path, options or EngineOptions())
