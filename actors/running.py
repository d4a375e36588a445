"""The root of a tree: `async with running(actor)`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from .actor import Actor
from .cell import Cell
from .errors import ActorFailed, StartFailed, TreeFailed
from .ref import DownReason

__all__ = ["running"]

A = TypeVar("A", bound=Actor[Any])

log = logging.getLogger("triode.actors")


@asynccontextmanager
async def running(actor: A) -> AsyncIterator[A]:
    """Start `actor` (most often a `Supervisor`), run the body, stop it gracefully.

    If the body raises or is cancelled, the tree is cancelled, and the body's error comes out as it
    is. If the tree fails, the body is cancelled and the failure is raised; if both fail, both come
    out in an exception group.

    Raises:
        TreeFailed: `StartFailed`, `ActorFailed` or `RestartsExceeded`, with the cause.
    """
    root: Cell[Any] = Cell(actor)
    errors: list[BaseException] = []
    cancelled: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:

            def on_down(cell: Cell[Any], _: DownReason) -> None:
                if cell.error is not None:
                    nursery.cancel_scope.cancel()

            root.on_down = on_down
            root.launch(nursery)
            await root.wait_settled()
            if root.error is not None:
                await trio.lowlevel.checkpoint()  # raises: `on_down` has cancelled this
            yield actor
            await _stop(root)
    except BaseExceptionGroup as group:
        cancelled, others = group.split(trio.Cancelled)
        if others is not None:
            errors.extend(others.exceptions)
    finally:
        if not root.up:
            root.close()
    if root.error is not None:
        errors.insert(0, _failure(root, root.error))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(f"{root.name} and its user failed", errors)
    if cancelled is not None:
        raise cancelled


async def _stop(root: Cell[Any]) -> None:
    root.request_stop()
    with trio.move_on_after(root.actor.stop_seconds_max):
        await root.wait_down()
    if root.up:
        log.warning("%s did not stop within its limit and is cancelled", root.path)
        root.cancel()
        await root.wait_down()


def _failure(root: Cell[Any], error: Exception) -> TreeFailed:
    if isinstance(error, TreeFailed):
        return error
    kind, what = (ActorFailed, "failed") if root.announced else (StartFailed, "did not start")
    failure = kind(f"{root.path} {what}: {error!r}")
    failure.__cause__ = error
    return failure
