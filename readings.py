"""Readings of one value of a setting: of the texts, numbers and lists that people and programs write.

Each returns what `Config` holds, or raises ValueError, whose message says what is right; who knows the setting's name
and where the value was written adds it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = [
    "boolean",
    "integer",
    "milliseconds",
    "number_of_seconds",
    "path",
    "retention",
    "seconds",
    "size",
    "text",
    "urls",
]

_UNIT_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_BYTES = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_UNIT_BYTES |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"(-?\d+)\s*([A-Za-z]*)")
_TRUE, _FALSE = {"true", "1", "t"}, {"false", "0", "f"}


def seconds(value: Any) -> float:
    """A duration in seconds: a text with units; of numbers only 0, which needs none."""
    if isinstance(value, str):
        if value == "0":
            return 0.0
        if _DURATION.fullmatch(value):
            parts = _PART.findall(value)
            return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    elif value == 0 and not isinstance(value, bool):
        return 0.0
    raise ValueError(f'{value!r} is not a duration; write it with a unit, such as "100ms" or "10m"')


def milliseconds(value: Any) -> float:
    """A duration in seconds: a bare whole number is milliseconds, as etcd writes it; otherwise as `seconds`."""
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value / 1000
    return seconds(value)


def size(value: Any) -> int:
    """Bytes: a whole number, or a text with a unit."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _UNIT_BYTES:
        raise ValueError(f'{value!r} is not a size; write bytes, or a unit such as "2GiB"')
    return int(match[1]) * _UNIT_BYTES[match[2].lower()]


def integer(value: Any) -> int:
    """A whole number, or its text."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is not a whole number")


def boolean(value: Any) -> bool:
    """True or false, or its text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise ValueError(f"{value!r} is neither true nor false")


def text(value: Any) -> str:
    """A text; a whole number is taken for its digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{value!r} is not a text")


def retention(value: Any) -> str:
    """What auto-compaction keeps: a duration, or a whole number, whose meaning depends on the mode."""
    if isinstance(value, float):
        raise ValueError(  # noqa: TRY004  # as for every value that cannot be read
            f'{value!r} could be anything; write a duration, such as "1h", or a whole number of hours or revisions'
        )
    return text(value)


def path(value: Any) -> Path:
    """A path that is not empty."""
    written = text(value)
    if not written:
        raise ValueError("the path is empty")
    return Path(written)


def urls(value: Any) -> tuple[str, ...]:
    """URLs: a list, or a text with commas; without a slash at their ends."""
    if isinstance(value, str):
        value = value.split(",") if value else []
    if not isinstance(value, list | tuple) or not all(isinstance(url, str) for url in value):
        raise ValueError(f"{value!r} is not a list of URLs")
    return tuple(url.strip().rstrip("/") if "//" in url else url.strip() for url in value)


def number_of_seconds(value: Any) -> float:
    """A duration in a program: a number of seconds, or a text as for `seconds`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return seconds(value)
