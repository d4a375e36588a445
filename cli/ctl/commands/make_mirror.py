"""`triodectl make-mirror`: repeat in another cluster what happens in this one."""

from __future__ import annotations

import sys
from typing import Any, Final

import attrs
import trio

from ....client.client import Client
from ....client.client import connect as open_client
from ....client.errors import EndpointError
from ....client.keys import prefix as keys_with_prefix
from ....client.tls import TLS
from ....errors import EtcdError
from ....rpc.pb.rpc_pb2 import PutRequest, RangeRequest, TxnRequest
from ...common.command import Command
from ...common.errors import complain
from ...common.exits import BAD_ARGUMENTS, INTERRUPTED, Failure
from ...common.flags import Flag
from ...common.goquote import as_bytes
from ...common.prompt import ask_password
from ..connecting import bounds_of
from ..context import Context
from ..interrupts import until_signal
from ..mirroring import Renaming, batches_of

__all__ = ["COMMANDS"]

MAX_TXN_OPS: Final = 128
TOTALS_SECONDS: Final = 30
PUTS_AT_ONCE: Final = 64
_CLEAR: Final = "\r\x1b[K"


@attrs.define
class Counter:
    """How many changes have been repeated."""

    total: int = 0
    revision: int = 0  # of the source, up to which all is repeated; 0: the copy is not complete

    def __str__(self) -> str:
        upto = f"up to revision {self.revision}" if self.revision else "the copy is not complete"
        return f"{self.total} changes mirrored, {upto}"


async def make_mirror(ctx: Context) -> None:
    """Copy what is there, then follow what changes, until a signal comes."""
    if len(ctx.arguments) != 1:
        raise Failure("make-mirror takes one destination argument", BAD_ARGUMENTS)
    flags = ctx.flags
    ctx.settle()
    if flags.switch("no-dest-prefix") and flags.text("dest-prefix"):
        raise Failure(
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
            BAD_ARGUMENTS,
        )
    options = _destination(ctx)
    counter = Counter()
    async with ctx.client() as source, until_signal() as stop:
        with stop.cancels():
            try:
                async with (
                    open_client(ctx.arguments[0], **options) as destination,
                    trio.open_nursery() as nursery,
                ):
                    nursery.start_soon(_tell, ctx, counter)
                    await _mirror_or_say(ctx, source, destination, counter)
            except EndpointError as error:
                raise Failure(str(error), BAD_ARGUMENTS) from None
    raise Failure(f"interrupted; {counter}", INTERRUPTED)


def _destination(ctx: Context) -> dict[str, Any]:
    """How to connect to the other cluster: as to this one, but for TLS and user."""
    flags = ctx.flags
    options = bounds_of(flags)
    files = {name: flags.text(f"dest-{name}") or None for name in ("cert", "key", "cacert")}
    if any(files.values()) or not flags.switch("dest-insecure-transport"):
        options["tls"] = TLS(ca=files["cacert"], cert=files["cert"], key=files["key"])
    user, password = flags.text("dest-user"), flags.text("dest-password")
    if user and not password:
        user, colon, password = user.partition(":")
        if not colon:
            password = ask_password("Destination Password: ")
    if user:
        options.update(user=user, password=password)
    return options


async def _mirror_or_say(
    ctx: Context, source: Client, destination: Client, counter: Counter
) -> None:
    """Mirror; if that fails, say how far it has come, so that it can go on there."""
    try:
        await _mirror(ctx, source, destination, counter)
    except EtcdError:
        if counter.total:
            complain(str(counter), prefix="")
        raise


async def _mirror(ctx: Context, source: Client, destination: Client, counter: Counter) -> None:
    prefix = as_bytes(ctx.flags.text("prefix"))
    to = as_bytes(ctx.flags.text("dest-prefix"))
    if not to and not ctx.flags.switch("no-dest-prefix"):
        to = prefix
    rename = Renaming(prefix, to)
    counter.revision = max(ctx.flags.number("rev") - 1, 0)
    if not counter.revision:
        counter.revision = await _copy(source, destination, prefix, rename, counter)
    keys = keys_with_prefix(prefix)
    operations_max = ctx.flags.number("max-txn-ops")
    async with source.watch(keys, start_revision=counter.revision + 1) as watch:
        async for response in watch.batches():
            for batch in batches_of(response.events, rename, operations_max):
                await destination.call("KV/Txn", TxnRequest(success=batch))
                counter.total += len(batch)
            # Not the header's: that is how far the server is, which may have more to tell.
            if response.events:
                counter.revision = response.events[-1].kv.mod_revision


async def _copy(
    source: Client, destination: Client, prefix: bytes, rename: Renaming, counter: Counter
) -> int:
    """Put all keys of one revision; returns it."""
    found = await source.call("KV/Range", RangeRequest(key=prefix or b"foo", count_only=True))
    revision: int = found.header.revision
    limiter = trio.CapacityLimiter(PUTS_AT_ONCE)

    async def put(request: PutRequest) -> None:
        async with limiter:
            await destination.call("KV/Put", request)
        counter.total += 1

    scan = source.scan(keys_with_prefix(prefix), revision=revision)
    while (page := await scan.next_page()) is not None:
        async with trio.open_nursery() as nursery:
            for pair in page:
                request = PutRequest(key=rename(pair.key), value=pair.value)
                nursery.start_soon(put, request)
    return revision


async def _tell(ctx: Context, counter: Counter) -> None:
    """Print the total every 30 s; on a terminal also show it as it grows."""
    due = trio.current_time() + TOTALS_SECONDS
    shows = sys.stderr.isatty()
    try:
        while True:
            await trio.sleep(0.2 if shows else max(0.0, due - trio.current_time()))
            if shows:
                text = f"{counter.total:,} changes mirrored, revision {counter.revision}"
                complain_in_place(text)
            if trio.current_time() >= due:
                due += TOTALS_SECONDS
                complain_in_place("" if shows else None)
                ctx.out.line(str(counter.total))
                ctx.out.flush()
    finally:
        complain_in_place("" if shows else None)


def complain_in_place(text: str | None) -> None:
    """Write over the present line of stderr; None: nothing is to be done."""
    if text is not None:
        sys.stderr.write(_CLEAR + text)
        sys.stderr.flush()


COMMANDS = (
    Command(
        "make-mirror",
        "make-mirror [options] <destination>",
        "Makes a mirror at the destination etcd cluster",
        run=make_mirror,
        flags=(
            Flag.text("prefix", "Key-value prefix to mirror"),
            Flag.number("rev", "Specify the kv revision to start to mirror"),
            Flag.unsigned(
                "max-txn-ops",
                "Maximum number of operations permitted in a transaction during syncing updates.",
                default=MAX_TXN_OPS,
            ),
            Flag.text(
                "dest-prefix",
                "destination prefix to mirror a prefix to a different prefix in the destination cluster",
            ),
            Flag.switch(
                "no-dest-prefix", "mirror key-values to the root of the destination cluster"
            ),
            Flag.text(
                "dest-cert",
                "Identify secure client using this TLS certificate file for the destination cluster",
            ),
            Flag.text("dest-key", "Identify secure client using this TLS key file"),
            Flag.text(
                "dest-cacert",
                "Verify certificates of TLS enabled secure servers using this CA bundle",
            ),
            Flag.switch(
                "dest-insecure-transport",
                "Disable transport security for client connections",
                default=True,
            ),
            Flag.text(
                "dest-user",
                "Destination username[:password] for authentication (prompt if password is not supplied)",
            ),
            Flag.text(
                "dest-password",
                "Destination password for authentication"
                " (if this option is used, --user option shouldn't include password)",
            ),
        ),
        long=(
            "Copies the keys, then repeats every change, until Ctrl-C or SIGTERM. What one revision changed is"
            " written\nin one transaction. The total is printed every 30 seconds. Leases are not mirrored."
        ),
        example=(
            "  triodectl make-mirror --prefix=app/ 10.0.0.9:2379\n\n"
            "  # Go on after a revision that an earlier run has ended with\n"
            "  triodectl make-mirror --rev=1234 10.0.0.9:2379"
        ),
    ),
)
