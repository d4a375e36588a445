"""The actors of a Triode member, as its page `/ui` tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from .sample import Actor

__all__ = ["ACTORS_PATH", "actors_of"]

ACTORS_PATH: Final = "/ui/api/actors"
CHILDREN_MAX: Final = 8  # below the first level: connections come by the thousand


def actors_of(page: bytes) -> tuple[Actor, ...]:
    """Read the page, a parent before its children.

    Raises:
        ValueError: it is not that page.
    """
    try:
        return tuple(_walk(json.loads(page)["actors"], "", 0))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no list of actors: {error!r}") from error


def _walk(record: dict[str, Any], parent: str, depth: int) -> Iterator[Actor]:
    path = f"{parent}/{record['name']}" if parent else str(record["name"])
    yield Actor(
        path=path,
        depth=depth,
        state=str(record["state"]),
        mailbox=int(record["mailbox_depth"]),
        mailbox_max=int(record["mailbox_messages_max"]),
        restarts=int(record["restarts"]),
        mailbox_most=int(record["mailbox_depth_max"]),
        handled=int(record["messages_handled"]),
        last_error=record["last_error"] or "",
    )
    children = record["children"]
    shown = children[:CHILDREN_MAX] if depth else children
    for child in shown:
        yield from _walk(child, path, depth + 1)
    left_out = int(record.get("children_left_out", 0)) + len(children) - len(shown)
    if left_out:
        yield Actor(f"{path}/… {left_out} more", depth + 1, "", 0, 0, 0)
