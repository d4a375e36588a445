"""A picture of overlapping operations, in text: one line each, a bar from call to return."""

from __future__ import annotations

from collections.abc import Iterable

from .describe import describe_request, describe_response
from .history import Operation, seconds

__all__ = ["timeline"]

WIDTH_DEFAULT = 60
TEXT_CHARACTERS_MAX = 90


def timeline(operations: Iterable[Operation], *, width: int = WIDTH_DEFAULT) -> str:
    """Draw operations in the order of their calls.

    Args:
        operations: some tens at most, such as the `window` of a `Linearization`.
        width: of the bars, in characters. Time is not to scale: each call and each return is one step to the right.
    """
    ordered = sorted(set(operations), key=lambda op: op.call)
    stamps = sorted({stamp for op in ordered for stamp in (op.call, op.returned) if stamp})
    places = {stamp: at * width // max(len(stamps), 1) for at, stamp in enumerate(stamps)}
    lines = []
    for op in ordered:
        start = places.get(op.call, 0)
        end = width if op.returned is None else max(places[op.returned], start + 1)
        bar = " " * start + "├" + "─" * (end - start - 1) + ("┄" if op.returned is None else "┤")
        revision = f" @{op.revision}" if op.revision else ""
        answer = describe_response(op.response)
        text = f"{op.client}: {describe_request(op.request)} → {answer}{revision}"
        if len(text) > TEXT_CHARACTERS_MAX:
            text = text[: TEXT_CHARACTERS_MAX - 1] + "…"
        lines.append(f"{bar:<{width + 1}} {text}")
    if ordered:
        last = max(op.returned or op.call for op in ordered)
        lines.append(f"{seconds(ordered[0].call):.6f} s to {seconds(last):.6f} s")
    return "\n".join(lines)
