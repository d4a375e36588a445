"""A nursery that belongs to a block, and is not seen in what the block raises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

__all__ = ["block_nursery"]


@asynccontextmanager
async def block_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks end with the block; what the block raises comes out as it is, in no group."""
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001  # raised again below
                raised = error
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if raised is None:
            raise
        _, others = group.split(trio.Cancelled)
        if others is not None:
            raise BaseExceptionGroup(
                "a block and what ran beside it failed", [raised, others]
            ) from None
    if raised is not None:
        raise raised
