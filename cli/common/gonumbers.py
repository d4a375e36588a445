"""Numbers, booleans and durations as Go's `strconv` and `time` read and write them, with their error texts."""

from __future__ import annotations

import re
from typing import Final

from .goquote import quote

__all__ = [
    "duration_text",
    "parse_bool",
    "parse_duration",
    "parse_int",
    "parse_uint",
]

_TRUE: Final = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DIGITS: Final = {
    2: re.compile(r"[01]+"),
    8: re.compile(r"[0-7]+"),
    10: re.compile(r"[0-9]+"),
    16: re.compile(r"[0-9a-fA-F]+"),
}
_PREFIXES: Final = {"0b": 2, "0o": 8, "0x": 16}
_UNDERSCORES: Final = re.compile(r"(0[bBoOxX]_?)?[0-9a-fA-F](_?[0-9a-fA-F])*")
_UNIT: Final = re.compile(r"[^.0-9]+")
_NUMBER: Final = re.compile(r"([0-9]*)(\.([0-9]*))?")


def parse_bool(text: str) -> bool:
    """Go's strconv.ParseBool. Raises ValueError with its text."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def parse_int(text: str, base: int = 10, bits: int = 64) -> int:
    """Go's strconv.ParseInt; with base 0, prefixes (0x, 0o, 0b, 0) and underscores count.

    Raises:
        ValueError: with Go's text.
    """
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    value = sign * _magnitude("ParseInt", text, digits, base)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


def parse_uint(text: str, base: int = 10, bits: int = 64) -> int:
    """Go's strconv.ParseUint. Raises ValueError with Go's text."""
    value = _magnitude("ParseUint", text, text, base)
    if value >= 1 << bits:
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return value


def _magnitude(function: str, text: str, digits: str, base: int) -> int:
    wrong = ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    if base == 0:
        if "_" in digits:
            if not _UNDERSCORES.fullmatch(digits):
                raise wrong
            digits = digits.replace("_", "")
        base = _PREFIXES.get(digits[:2].lower(), 0)
        if base:
            digits = digits[2:]
        elif len(digits) > 1 and digits.startswith("0"):
            base, digits = 8, digits[1:]
        else:
            base = 10
    if not _DIGITS[base].fullmatch(digits):
        raise wrong
    return int(digits, base)


def parse_duration(text: str) -> float:
    """Go's time.ParseDuration, in seconds: "1h30m", "1.5s", "-2ms", "0".

    Raises:
        ValueError: with Go's text.
    """
    wrong = ValueError(f"time: invalid duration {quote(text)}")
    rest = text[1:] if text[:1] in {"+", "-"} else text
    if rest == "0":
        return 0.0
    if not rest:
        raise wrong
    total = 0
    while rest:
        number = _NUMBER.match(rest)
        if number is None or not (number[1] or number[3]):
            raise wrong
        rest = rest[number.end() :]
        unit = _UNIT.match(rest)
        if unit is None:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        scale = _NANOSECONDS.get(unit[0])
        if scale is None:
            raise ValueError(f"time: unknown unit {quote(unit[0])} in duration {quote(text)}")
        rest = rest[unit.end() :]
        fraction = number[3] or ""
        total += int(number[1] or "0") * scale
        total += int(fraction or "0") * scale // 10 ** len(fraction)
    if total >= 1 << 63:
        raise wrong
    return (-total if text.startswith("-") else total) / 1e9


def duration_text(seconds: float) -> str:
    """Go's Duration.String: "1h0m0s", "2s", "1.5ms", "0s"."""
    nanoseconds = round(seconds * 1e9)
    if nanoseconds == 0:
        return "0s"
    sign, nanoseconds = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit in ("ns", "µs", "ms"):
        if nanoseconds < 1000 * _NANOSECONDS[unit]:
            return sign + _decimal(nanoseconds, _NANOSECONDS[unit]) + unit
    minutes, rest = divmod(nanoseconds, _NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    out = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return sign + out + _decimal(rest, _NANOSECONDS["s"]) + "s"


def _decimal(value: int, scale: int) -> str:
    whole, part = divmod(value, scale)
    if not part:
        return str(whole)
    width = len(str(scale)) - 1
    return f"{whole}.{part:0{width}d}".rstrip("0")
