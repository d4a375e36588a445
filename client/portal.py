"""A Trio loop in a thread of its own, and the ways into it for other threads."""

from __future__ import annotations

import inspect
import math
import queue
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

import trio

from .errors import ClientClosed

__all__ = ["Block", "Portal"]


class Portal:
    """Runs a Trio loop for the length of a block.

    Args:
        call_timeout: how long a `call` may take, in seconds; None: as long as it takes.
    """

    def __init__(self, call_timeout: float | None = None) -> None:
        self._call_timeout = math.inf if call_timeout is None else call_timeout
        self._started: queue.SimpleQueue[tuple[trio.lowlevel.TrioToken, trio.Nursery]] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(
            target=trio.run, args=(self._main,), name="triode-client", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._token, self.nursery = self._started.get()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(trio.RunFinishedError):
            trio.from_thread.run_sync(self.nursery.cancel_scope.cancel, trio_token=self._token)
        self._thread.join()

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            self._started.put((trio.lowlevel.current_trio_token(), nursery))
            await trio.sleep_forever()

    def wait(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run a coroutine function in the loop, however long it takes, and return its result.

        Ctrl-C cancels it, and waits until it has ended; once more, and it is left to end by itself.
        """
        wait = _Wait(function, args)
        try:
            return trio.from_thread.run(wait.run, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled):
            raise ClientClosed from None
        except BaseException:
            if not wait.over.is_set():
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(wait.cancel)
                    wait.over.wait()
            raise

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the loop, within the time that a call may take; wait for it if it is a coroutine."""

        async def run() -> Any:
            with trio.fail_after(self._call_timeout):
                result = function(*args, **kwargs)
                return await result if inspect.isawaitable(result) else result

        return self.wait(run)

    def in_thread(
        self, function: Callable[..., Any], argument: Callable[[Any], Any]
    ) -> Callable[..., Awaitable[Any]]:
        """A coroutine function that runs a plain one in a thread, with its arguments made fit by `argument`."""

        async def run(*args: Any) -> Any:
            inner = partial(function, *(argument(one) for one in args))
            return await trio.to_thread.run_sync(inner)

        return run


class _Wait:
    """A coroutine that a thread waits for, until it has ended or the thread is interrupted."""

    def __init__(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self._begun = False
        self._scope = trio.CancelScope()
        self.over = threading.Event()

    async def run(self) -> Any:
        self._begun = True
        try:
            with self._scope:
                if not self._scope.cancel_called:
                    return await self._function(*self._args)
        finally:
            self.over.set()

    def cancel(self) -> None:
        """End it, in the loop's thread; if it has not begun, it never will."""
        self._scope.cancel()
        if not self._begun:
            self.over.set()


class Block:
    """An asynchronous context manager as a plain one. A task of the loop holds it, from beginning to end."""

    def __init__(self, portal: Portal, manager: AbstractAsyncContextManager[Any]) -> None:
        self._portal = portal
        self._manager = manager
        self._error: BaseException | None = None
        self._result: BaseException | None = None
        self._scope = trio.CancelScope()
        self._begun = self._entered = False
        self._value: Any = None

    def __enter__(self) -> Any:
        return self.enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self.leave(error)

    def enter(self) -> Any:
        """Enter the block, and return what it is about."""
        return self._wait(self._begin)

    def leave(self, error: BaseException | None) -> bool:
        """Leave the block, with what it has raised; tells whether that is dealt with."""
        self._wait(self._end, error)
        if self._result is not None and self._result is not error:
            raise self._result
        return error is not None and self._result is None

    def _wait(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        try:
            return self._portal.wait(function, *args)
        except BaseException:  # Ctrl-C: nobody will leave what may have been entered by now
            with suppress(ClientClosed):
                self._portal.wait(self._abandon)
            raise

    async def _abandon(self) -> None:
        self._scope.cancel()
        if self._begun:
            await self._over.wait()

    async def _begin(self) -> Any:
        self._news, self._leave, self._over = trio.Event(), trio.Event(), trio.Event()
        self._portal.nursery.start_soon(self._hold)
        self._begun = True
        await self._news.wait()
        if not self._entered:
            raise self._result or ClientClosed()
        return self._value

    async def _end(self, error: BaseException | None) -> None:
        self._error = error
        self._leave.set()
        await self._over.wait()

    async def _hold(self) -> None:
        try:
            with self._scope:
                async with self._manager as self._value:
                    self._entered = True
                    self._news.set()
                    await self._leave.wait()
                    if self._error is not None:
                        raise self._error  # noqa: TRY301  # into the manager
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  # raised in the user's thread
            self._result = error
        finally:
            self._news.set()
            self._over.set()
