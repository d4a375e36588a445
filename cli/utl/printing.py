"""One record in every format: a line, JSON, fields, or a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common.command import Invocation
from ..common.exits import BAD_FEATURE, Failure

__all__ = ["format_of", "print_json", "print_record"]


def format_of(call: Invocation, *supported: str) -> str:
    """The output format that is asked for; raises Failure (code 4) if the command has no such."""
    wanted = call.flags.text("write-out")
    if wanted not in {"simple", "json", "fields", "table", "protobuf"}:
        raise Failure("unsupported output format", BAD_FEATURE)
    if wanted not in supported:
        raise Failure(f"{wanted} not supported as output format", BAD_FEATURE)
    return wanted


def print_record(
    call: Invocation,
    *,
    record: Mapping[str, Any],
    fields: Mapping[str, Any],
    cells: Mapping[str, str],
    simple: Callable[[Sequence[str]], str] = ", ".join,
) -> None:
    """Print one result.

    Args:
        call: says the format.
        record: for JSON.
        fields: name and value of each line of `fields`.
        cells: title and text of each column.
        simple: makes the plain line of the cells.
    """
    match format_of(call, "simple", "json", "fields", "table"):
        case "json":
            print_json(call, record)
        case "fields":
            for name, value in fields.items():
                call.out.line(f'"{name}" : {value}')
        case "table":
            from ..common.table import box

            call.out.write(box(list(cells), [list(cells.values())]))
        case _:
            call.out.line(simple(list(cells.values())))


def print_json(call: Invocation, record: Any) -> None:
    """One line."""
    call.out.line(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
