"""The client for programs without Trio: the same client, run by a thread of its own.

Nothing is implemented twice. A `Facade` stands for an object of the asynchronous client and passes on what is done
to it: coroutines are waited for, asynchronous context managers become plain ones, asynchronous iterators too.
Results that have nothing asynchronous about them (messages, events) are returned as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from .client import connect
from .kv import KVCalls
from .lease_calls import LeaseCalls
from .portal import Block, Portal

__all__ = ["Facade", "SyncClient", "connect_sync"]

P = ParamSpec("P")
R = TypeVar("R")


def _asynchronous(kind: type) -> bool:
    """Whether objects of a class have something to be awaited."""
    if kind not in _known:
        names = [name for name in dir(kind) if not name.startswith("_")]
        _known[kind] = any(
            hasattr(kind, name) for name in ("__aenter__", "__anext__", "__aiter__")
        ) or any(inspect.iscoroutinefunction(inspect.getattr_static(kind, name)) for name in names)
    return _known[kind]


_known: dict[type, bool] = {}


class Facade:
    """Stands for an object of the asynchronous client; see the module."""

    def __init__(self, portal: Portal, target: Any) -> None:
        self._portal = portal
        self._target = target
        self._block: Block | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._target, name)
        if not callable(found) or _asynchronous(type(found)):
            return self._outside(found)

        @wraps(found)
        def method(*args: Any, **kwargs: Any) -> Any:
            inner = [self._inside(one) for one in args]
            named = {key: self._inside(one) for key, one in kwargs.items()}
            return self._outside(self._portal.call(found, *inner, **named))

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            setattr(self._target, name, value)

    def __repr__(self) -> str:
        return f"<synchronous {self._target!r}>"

    def __dir__(self) -> list[str]:
        return dir(self._target)

    # --- across the border ------------------------------------------------------------------------

    def _outside(self, value: Any) -> Any:
        """A result for the user."""
        return Facade(self._portal, value) if _asynchronous(type(value)) else value

    def _inside(self, value: Any) -> Any:
        """An argument for the asynchronous client. Functions run in a thread, and meet façades there."""
        if isinstance(value, Facade):
            return value._target
        if inspect.isfunction(value) or inspect.ismethod(value):
            return self._portal.in_thread(value, self._outside)
        return value

    # --- asynchronous protocols -------------------------------------------------------------------

    def __enter__(self) -> Any:
        self._block = Block(self._portal, self._target)
        return self._outside(self._block.enter())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        block, self._block = self._block, None
        assert block is not None
        return block.leave(error)

    def __iter__(self) -> Iterator[Any]:
        iterator = self._target.__aiter__()
        while True:
            try:
                yield self._outside(self._portal.wait(anext, iterator))
            except StopAsyncIteration:
                return

    def __next__(self) -> Any:
        try:
            return self._outside(self._portal.wait(anext, self._target))
        except StopAsyncIteration:
            raise StopIteration from None


class _Method(Generic[P, R]):
    """A coroutine method of the asynchronous client, as a plain method with the same arguments."""

    def __init__(self, function: Callable[Concatenate[Any, P], Awaitable[R]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, facade: Facade | None, _: type | None = None) -> Callable[P, R]:
        function = self._function
        if facade is None:
            return function  # type: ignore[return-value]

        @wraps(function)
        def method(*args: P.args, **kwargs: P.kwargs) -> R:
            result: R = facade._portal.call(function, facade._target, *args, **kwargs)
            return result

        return method


class SyncClient(Facade):
    """The synchronous client: `Client` with plain methods, `with` and `for`. Threads may share it.

    Whatever `Client` has is here. A block that is cancelled there (a lease is lost) cannot be interrupted here: the
    error is raised where the block ends.
    """

    get = _Method(KVCalls.get)
    range = _Method(KVCalls.range)
    count = _Method(KVCalls.count)
    put = _Method(KVCalls.put)
    delete = _Method(KVCalls.delete)
    compact = _Method(KVCalls.compact)
    call = _Method(KVCalls.call)
    grant = _Method(LeaseCalls.grant)
    revoke = _Method(LeaseCalls.revoke)
    leases = _Method(LeaseCalls.leases)

    if TYPE_CHECKING:

        def scan(self, *args: Any, **kwargs: Any) -> Facade: ...
        def txn(self) -> Facade: ...
        def watch(self, *args: Any, **kwargs: Any) -> AbstractContextManager[Facade]: ...
        def lease(self, *args: Any, **kwargs: Any) -> AbstractContextManager[Facade]: ...
        def lock(self, *args: Any, **kwargs: Any) -> AbstractContextManager[Facade]: ...

    def namespace(self, prefix: bytes | str) -> SyncClient:
        """See `Client.namespace`."""
        return SyncClient(self._portal, self._target.namespace(prefix))

    def requiring_leader(self) -> SyncClient:
        """See `Client.requiring_leader`."""
        return SyncClient(self._portal, self._target.requiring_leader())


@contextmanager
def connect_sync(
    *endpoints: str, call_timeout: float | None = None, **options: Any
) -> Iterator[SyncClient]:
    """A client for programs without Trio, for the length of the block.

    Args:
        endpoints: as in `connect`.
        call_timeout: how long one call may take, in seconds; None: as long as it takes. Iterating waits without limit.
        options: the others of `connect`.

    Raises:
        trio.TooSlowError: from calls, when `call_timeout` is over.
        EndpointError: as in `connect`.
    """
    with Portal(call_timeout) as portal, Block(portal, connect(*endpoints, **options)) as client:
        yield SyncClient(portal, client)
