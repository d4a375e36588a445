"""What a command of triodectl is run with: its flags and arguments, a client, a printer.

    async def run(ctx: Context) -> int | None:
        if len(ctx.arguments) != 1:
            raise Failure("... needs 1 argument", BAD_ARGUMENTS)
        async with ctx.client() as client:
            response = await ctx.call(client, "Lease/LeaseGrant", LeaseGrantRequest(TTL=60))
        ctx.show(GrantView(response))

A command that makes a single call is no coroutine, and uses `ctx.ask` instead.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..common.command import Invocation
from ..common.exits import BAD_FEATURE, Failure
from .global_flags import FORMATS
from .view import View, show

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from ...client.client import Client

__all__ = ["Context"]

Answer = TypeVar("Answer", bound="Message")


class Context(Invocation):
    """One run of a command of triodectl."""

    _settled = False

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._said: set[str] = set()  # endpoints whose trouble has been told

    def settle(self) -> None:
        """Complete the flags from the environment, and check those that all commands share.

        etcdctl does it as it makes its client: after a command has looked at its own arguments.

        Raises:
            Failure: a variable is in conflict with a flag, or the output format is unknown.
        """
        if self._settled:
            return
        self._settled = True
        from .environment import complete

        complete(self.flags)
        if self.flags.switch("debug"):
            from .debugging import show_flags

            show_flags(self.flags)
        if self.form not in FORMATS:
            raise Failure("unsupported output format", BAD_FEATURE)

    @property
    def form(self) -> str:
        """The output format: simple, fields, json, protobuf or table."""
        return self.flags.text("write-out")

    @property
    def hex(self) -> bool:
        """`--hex`."""
        return self.flags.switch("hex")

    @asynccontextmanager
    async def client(self, **changes: Any) -> AsyncIterator[Client]:
        """A client as the global flags say; `changes` override arguments of `triode.connect`.

        Raises:
            Failure: the flags are wrong, or there is nobody to connect to.
        """
        self.settle()
        from .connecting import connect

        async with connect(self.flags, **changes) as client:
            yield client

    @contextmanager
    def deadline(self, seconds: float | None = None) -> Iterator[None]:
        """Ends what takes longer than `--command-timeout` (or these seconds).

        Raises:
            Failure: it did, in etcdctl's words.
        """
        import trio

        try:
            given = self.flags.seconds("command-timeout") if seconds is None else seconds
            with trio.fail_after(max(0.0, given)):
                yield
        except trio.TooSlowError:
            from .waiting import DEADLINE_TEXT

            raise Failure(DEADLINE_TEXT) from None

    def ask(
        self, method: str, request: Message, answer: type[Answer], *, forever: bool = False
    ) -> Answer:
        """One RPC for a command that makes no other: it is not async, and starts faster.

        Args:
            method: "KV/Put".
            request: its message.
            answer: the type of its response.
            forever: no deadline, for what etcdctl gives none.

        Raises:
            Failure: the flags are wrong, the deadline has passed, or waiting is of no use.
            EtcdError: what the server answered.
        """
        self.settle()
        from .quick import quick_call

        seconds = None if forever else self.flags.seconds("command-timeout")
        started = time.monotonic()
        troubles: dict[str, str] = {}
        data = quick_call(self.flags, method, request.SerializeToString(), seconds, troubles)
        if data is not None:
            return answer.FromString(data)
        if troubles:
            from .waiting import say_why

            say_why(troubles, self._said)
        import trio

        left = math.inf if seconds is None else seconds - (time.monotonic() - started)

        async def call() -> Answer:
            async with self.client() as client:
                with self.deadline(max(left, 0.0)):
                    response = await self.call(client, method, request, forever=forever)
                assert isinstance(response, answer)
                return response

        return trio.run(call)

    async def call(
        self,
        client: Client,
        method: str,
        request: Message,
        *,
        endpoint: str | None = None,
        forever: bool = False,
    ) -> Any:
        """One RPC within the command's deadline; it waits so long for an endpoint, as etcdctl does.

        Args:
            client: as `ctx.client()` gave it.
            method: "KV/Put".
            request: its message.
            endpoint: ask this one only.
            forever: no deadline, for what etcdctl gives none.

        Raises:
            Failure: the deadline has passed, or waiting is of no use.
            EtcdError: what the server answered.
        """
        from .waiting import patiently

        with self.deadline(math.inf if forever else None):
            return await patiently(
                lambda: client.call(method, request, endpoint=endpoint), self._said
            )

    def show(self, view: View) -> None:
        """Print a view in the format that was asked for."""
        self.settle()
        show(view, self.form, self.out, hex=self.hex)
