"""The conditions of a transaction as text: `mod("key") > "0"`."""

from __future__ import annotations

from typing import Any, Final

from ...rpc.pb.rpc_pb2 import Compare
from ..common.exits import INVALID_INPUT, Failure
from ..common.gonumbers import parse_int
from ..common.goquote import as_bytes, quote, unquote_prefix

__all__ = ["parse_compare"]

_TARGETS: Final = {
    "ver": (Compare.VERSION, "version"),
    "version": (Compare.VERSION, "version"),
    "c": (Compare.CREATE, "create_revision"),
    "create": (Compare.CREATE, "create_revision"),
    "m": (Compare.MOD, "mod_revision"),
    "mod": (Compare.MOD, "mod_revision"),
    "val": (Compare.VALUE, "value"),
    "value": (Compare.VALUE, "value"),
    "lease": (Compare.LEASE, "lease"),
}
_RESULTS: Final = {
    "=": Compare.EQUAL,
    "!=": Compare.NOT_EQUAL,
    ">": Compare.GREATER,
    "<": Compare.LESS,
}


def parse_compare(line: str) -> Compare:
    """Understand one condition. Values are numbers but for `value` (text) and `lease` (hexadecimal).

    Raises:
        Failure: it is malformed (exit code 3).
    """
    target, opened, rest = line.partition("(")
    if not opened:
        raise _malformed(line)
    key, operator, value, whole = _scan(rest)
    if not whole:
        got = f"{target}({quote(key)}) {operator} {quote(value)}"
        raise _malformed(f"{line}; got {got}")
    if target not in _TARGETS:
        raise _malformed(f"{line} (unknown target {target})")
    if operator not in _RESULTS:
        raise _malformed(f"{line} (unknown operator {operator})")
    kind, field = _TARGETS[target]
    against: Any
    try:
        if field == "value":
            against = as_bytes(value)
        else:
            against = parse_int(value, 16 if field == "lease" else 10)
    except ValueError:
        raise Failure(f"invalid txn compare request: {line}", INVALID_INPUT) from None
    return Compare(key=as_bytes(key), target=kind, result=_RESULTS[operator], **{field: against})


def _scan(text: str) -> tuple[str, str, str, bool]:
    """Key, operator and value as fmt.Sscanf reads them with "%q) %s %q", and whether it gets to the end."""
    key = operator = value = ""
    try:
        key, text = unquote_prefix(text.lstrip(" \t"))
        if not text.startswith((") ", ")\t")):
            return key, "", "", False
        operator, space, text = text[1:].lstrip(" \t").partition(" ")
        if not space:
            return key, operator, "", False
        value, _ = unquote_prefix(text.lstrip(" \t"))
    except ValueError:
        return key, operator, value, False
    return key, operator, value, True


def _malformed(text: str) -> Failure:
    return Failure(f"malformed comparison: {text}", INVALID_INPUT)
