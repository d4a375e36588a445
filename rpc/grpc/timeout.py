"""The `grpc-timeout` field: at most eight digits and a unit."""

from __future__ import annotations

__all__ = ["format_timeout", "parse_timeout"]

_UNITS_NS = {
    b"n": 1,
    b"u": 1_000,
    b"m": 1_000_000,
    b"S": 1_000_000_000,
    b"M": 60_000_000_000,
    b"H": 3_600_000_000_000,
}
_DIGITS_MAX = 8
TIMEOUT_NS_MAX = 2**63 - 1
"""Longer timeouts (years) are cut to this, as grpc-go does."""


def parse_timeout(value: bytes) -> int:
    """Nanoseconds; raises ValueError with the reason."""
    unit = _UNITS_NS.get(value[-1:])
    digits = value[:-1]
    if unit is None or not 0 < len(digits) <= _DIGITS_MAX or not digits.isdigit():
        raise ValueError(f"not a timeout: {value!r}")
    timeout_ns = int(digits) * unit
    return min(TIMEOUT_NS_MAX, timeout_ns)


def format_timeout(timeout_ns: int) -> bytes:
    """The finest unit in which the value fits, rounded up; nothing left counts as 0n."""
    if timeout_ns <= 0:
        return b"0n"
    for unit, size in _UNITS_NS.items():
        amount = -(-timeout_ns // size)
        if amount < 10**_DIGITS_MAX:
            return b"%d%b" % (amount, unit)
    return b"99999999H"
