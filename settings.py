"""Settings as people write them: flags, environment variables and TOML, read into a `Config`.

Each source is a mapping from a setting's name (as in etcd's flags: `data-dir`) to a value; `build` turns the
texts, numbers and lists into what `Config` holds and says what is wrong where it was written. A key that does
not exist is answered with the nearest one that does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from operator import eq
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs

from . import readings
from .config import Bytes, Config, Milliseconds, Seconds, Urls
from .errors import ConfigError

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["NAMES", "NOT_YET", "build", "environment", "kind_of", "read_toml"]

NAMES: tuple[str, ...] = tuple(field.name.replace("_", "-") for field in attrs.fields(Config))
ENVIRONMENT_PREFIX = "TRIODE_"
_HINTS = get_type_hints(Config, include_extras=True)

_DISCOVERY = "there is no discovery service; name the members by initial-cluster or discovery-srv"
_TLS = "TLS is not supported yet"
_AUTH = "authentication is not supported yet"
NOT_YET: Mapping[str, str] = {
    "discovery": _DISCOVERY,
    "discovery-token": _DISCOVERY,
    "discovery-endpoints": _DISCOVERY,
    "discovery-proxy": _DISCOVERY,
    "discovery-fallback": _DISCOVERY,
    "cert-file": _TLS,
    "key-file": _TLS,
    "trusted-ca-file": _TLS,
    "client-cert-auth": _TLS,
    "client-cert-file": _TLS,
    "client-key-file": _TLS,
    "client-crl-file": _TLS,
    "client-cert-allowed-hostname": _TLS,
    "auto-tls": _TLS,
    "self-signed-cert-validity": _TLS,
    "peer-cert-file": _TLS,
    "peer-key-file": _TLS,
    "peer-trusted-ca-file": _TLS,
    "peer-client-cert-auth": _TLS,
    "peer-auto-tls": _TLS,
    "peer-crl-file": _TLS,
    "peer-cert-allowed-cn": _TLS,
    "peer-cert-allowed-hostname": _TLS,
    "cipher-suites": _TLS,
    "tls-min-version": _TLS,
    "tls-max-version": _TLS,
    "auth-token": _AUTH,
    "auth-token-ttl": _AUTH,
    "bcrypt-cost": _AUTH,
    "enable-pprof": "it profiles Go programs; use py-spy or perf on Triode",
    "enable-distributed-tracing": "tracing is not supported yet",
    "enable-log-rotation": "rotate with logrotate or systemd",
}
"""Flags of etcd that are refused, and why."""


def kind_of(name: str) -> Any:
    """The type of a setting's value, such as `Seconds`; of an optional one, what it is when given."""
    kind = _HINTS[name.replace("-", "_")]
    given = [arg for arg in get_args(kind) if arg is not NoneType]
    return given[0] if NoneType in get_args(kind) else kind


# --- one value ----------------------------------------------------------------------------------

_READERS: Mapping[Any, Callable[[Any], Any]] = {
    Seconds: readings.seconds,
    Milliseconds: readings.milliseconds,
    Bytes: readings.size,
    Urls: readings.urls,
    int: readings.integer,
    bool: readings.boolean,
    str: readings.text,
    Path: readings.path,
}


@cache
def _converter() -> Converter:
    """A converter with our readers, made when the first setting is read."""
    from cattrs import Converter

    converter = Converter()
    for kind, reader in _READERS.items():
        hook = partial(_read, reader)
        if isinstance(kind, type):
            converter.register_structure_hook(kind, hook)
        else:  # an annotated type, such as Seconds
            converter.register_structure_hook_func(partial(eq, kind), hook)
    return converter


def _read(reader: Callable[[Any], Any], value: Any, _kind: Any) -> Any:
    return reader(value)


# --- sources ------------------------------------------------------------------------------------


@attrs.frozen
class Source:
    """Where values come from, for error messages; `place` names a key as it was written there."""

    values: Mapping[str, Any]
    place: Callable[[str], str]


def build(*sources: Source) -> Config:
    """A `Config` from several sources; a later one wins over an earlier one.

    Raises:
        ConfigError: names the key, where it was written, and what would be right.
    """
    values: dict[str, Any] = {}
    for source in sources:
        for name, value in source.values.items():
            check_name(name, source.place(name))
            try:
                values[name.replace("-", "_")] = _converter().structure(value, kind_of(name))
            except ValueError as error:
                raise ConfigError(f"{source.place(name)}: {error}") from None
    return Config(**values)


def check_name(name: str, place: str) -> None:
    """Raise ConfigError for a setting that does not exist, or does not yet."""
    if name in NOT_YET:
        raise ConfigError(f"{place}: {NOT_YET[name]}")
    if name not in NAMES:
        import difflib

        near = difflib.get_close_matches(name, NAMES, 1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{place}: there is no such setting{hint}")


def flags(values: Mapping[str, Any]) -> Source:
    """Values of command line flags."""
    return Source(values, lambda name: f"--{name}")


def environment(variables: Mapping[str, str]) -> tuple[Source, list[str]]:
    """The `TRIODE_*` variables, and the names of those that mean nothing."""
    known: dict[str, str] = {}
    unknown = []
    for variable, value in sorted(variables.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-")
        if name in NAMES or name in NOT_YET or name == "config-file":
            known[name] = value
        else:
            unknown.append(variable)
    return Source(known, variable_of), unknown


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + name.upper().replace("-", "_")


def read_toml(path: Path) -> Source:
    """The settings of a TOML file.

    Raises:
        ConfigError: the file cannot be read or is not TOML; the message has the line.
    """
    import tomli

    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"config-file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"config-file {path}: it is not UTF-8 text") from None
    try:
        values = tomli.loads(text)
    except (tomli.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"config-file {path}: {error}") from None
    lines = text.splitlines()

    def place(name: str) -> str:
        key = re.compile(rf"""\s*(\[)?\s*["']?{re.escape(name)}["']?\s*[]=.]""")
        for number, line in enumerate(lines, 1):
            if key.match(line):
                return f"{path}, line {number}, {name}"
        return f"{path}, {name}"

    return Source(values, place)
