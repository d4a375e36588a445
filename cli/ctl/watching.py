"""One watch of `triodectl watch`: prints what comes, and runs a command for every event."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs
import trio

from ...client.client import Client
from ...client.errors import Unreachable, WatchCompacted
from ...client.keys import Keys, prefix_end
from ...client.watch import Watch
from ...errors import Compacted, EtcdError, FutureRev, WatchCanceled
from ...rpc.pb.kv_pb2 import Event
from ...rpc.pb.rpc_pb2 import RangeRequest, RangeResponse, StatusRequest, WatchResponse
from ..common.children import cannot_run, ending
from ..common.errors import complain, leaf
from ..common.exits import ERROR, Failure
from ..common.flags import FlagValues
from ..common.goquote import as_bytes, quote
from .failures import error_text
from .key_range import FIRST, OPEN_END
from .views.watch import WatchView, event_type
from .waiting import say_why

if TYPE_CHECKING:
    from .context import Context

__all__ = ["RangeAndPrefix", "Wanted", "Watches", "wanted", "watch"]

UNREACHABLE_SECONDS: Final = 1.0


class RangeAndPrefix(ValueError):
    """Both the end of a range and a prefix were asked for."""


@attrs.frozen
class Wanted:
    """What to watch, and what to do then.

    Args:
        keys: which keys.
        revision: the first whose events are wanted; 0: from now on.
        prev_kv: show what was there before.
        progress: print how far the server is.
        command: to run for every event.
    """

    keys: Keys
    revision: int
    prev_kv: bool
    progress: bool
    command: tuple[str, ...] = ()


def wanted(flags: FlagValues, words: Sequence[str], command: Sequence[str]) -> Wanted:
    """What flags, a key and perhaps the end of a range ask for.

    Raises:
        ValueError: they do not go together; the text is etcdctl's.
    """
    if not words:
        raise ValueError("bad number of arguments")
    if flags.number("rev") < 0:
        raise ValueError(f"the revision is negative: {flags.number('rev')}")
    prefix = flags.switch("prefix")
    key = as_bytes(words[0])
    end = b""
    if len(words) == 2:
        if prefix:
            raise RangeAndPrefix("`range_end` and `--prefix` are mutually exclusive")
        end = as_bytes(words[1])
    elif prefix:
        key, end = (key, prefix_end(key)) if key else (FIRST, OPEN_END)
    return Wanted(
        Keys(key, end),
        flags.number("rev"),
        flags.switch("prev-kv"),
        flags.switch("progress-notify"),
        tuple(command),
    )


class Watches:
    """The watches of one command that are open."""

    def __init__(self) -> None:
        self.open: list[Watch] = []
        self.progress_asked = False
        self._owed = False  # progress was asked for before anything was open

    async def request_progress(self) -> None:
        """Ask how far the server is; one answer is for all watches, as they share a stream."""
        self.progress_asked = True
        if self.open:
            await self.open[0].request_progress()
        else:
            self._owed = True

    async def add(self, opened: Watch) -> None:
        """Take a watch that is open from now on, and ask what could not be asked before."""
        self.open.append(opened)
        if self._owed:
            self._owed = False
            await opened.request_progress()


async def watch(ctx: Context, client: Client, what: Wanted, watches: Watches) -> None:
    """Print what comes until the server ends the watch, and then why it has.

    Args:
        ctx: whose output it is.
        client: whom to ask.
        what: see `Wanted`.
        watches: to be among, while it is open.
    """
    try:
        async with trio.open_nursery() as nursery:
            waiting = trio.CancelScope()
            nursery.start_soon(_say_why_not, client, waiting)
            async with client.watch(
                what.keys,
                start_revision=what.revision,
                prev_kv=what.prev_kv,
                progress_notify=what.progress,
            ) as opened:
                waiting.cancel()
                await watches.add(opened)
                async for response in opened.batches():
                    await _show(ctx, what, response, progress=watches.progress_asked)
    except* EtcdError as errors:
        error = leaf(errors)
        assert isinstance(error, EtcdError)
        await _show_end(ctx, client, error)


async def _show(ctx: Context, what: Wanted, response: WatchResponse, *, progress: bool) -> None:
    if not response.events:
        if not (what.progress or progress):
            return
        ctx.out.line(f"progress notify: {response.header.revision}")
    ctx.show(WatchView(response))
    if what.command:
        for event in response.events:
            await _run(what.command, response.header.revision, event)


async def _run(command: Sequence[str], revision: int, event: Event) -> None:
    """Run a command for an event; its failure is ours."""
    environment = {
        **os.environ,
        "ETCD_WATCH_REVISION": str(revision),
        "ETCD_WATCH_EVENT_TYPE": quote(event_type(event)),
        "ETCD_WATCH_KEY": quote(event.kv.key),
        "ETCD_WATCH_VALUE": quote(event.kv.value),
    }
    try:
        done = await trio.run_process(command, env=environment, check=False)  # no standard input
    except OSError as error:
        trouble = cannot_run(command[0], error)
    else:
        if not done.returncode:
            return
        trouble = ending(done.returncode)
    words = " ".join(quote(word) for word in command)
    complain(f"command [{words}] error ({trouble})", prefix="")
    raise Failure("", ERROR)


async def _show_end(ctx: Context, client: Client, error: EtcdError) -> None:
    """The last response: that the watch is over, and why."""
    complain(f"watch was canceled ({_reason(error)})", prefix="")
    last = WatchResponse(canceled=True)
    if isinstance(error, WatchCompacted):
        last.compact_revision = error.compact_revision
    with suppress(EtcdError), trio.move_on_after(1):
        request = RangeRequest(key=FIRST, limit=1, count_only=True, serializable=True)
        answer: RangeResponse = await client.call("KV/Range", request)
        last.header.CopyFrom(answer.header)
        last.header.revision = 0
    ctx.show(WatchView(last))


def _reason(error: EtcdError) -> str:
    if isinstance(error, WatchCompacted):
        return Compacted.text
    if isinstance(error, WatchCanceled):
        reason = error.message.removeprefix(WatchCanceled.text).removeprefix(": ")
        return f"rpc error: code = FailedPrecondition desc = {reason}" if reason else FutureRev.text
    return error_text(error)


async def _say_why_not(client: Client, waiting: trio.CancelScope) -> None:
    """Say why a watch that is not opened is not: it waits as long as it takes."""
    with waiting:
        await trio.sleep(UNREACHABLE_SECONDS)
        try:
            await client.call("Maintenance/Status", StatusRequest())
        except Unreachable as error:
            say_why(error.reasons, set())
        except EtcdError:
            pass  # the watch itself will tell
