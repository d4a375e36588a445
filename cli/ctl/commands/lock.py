"""`triodectl lock`."""

from __future__ import annotations

import trio

from ....client.errors import LeaseLost
from ....client.lock import Lock
from ....rpc.pb.rpc_pb2 import RangeRequest
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag
from ..child import run_child
from ..context import Context
from ..interrupts import until_signal
from ..views.kv import RangeView

__all__ = ["COMMANDS"]

TTL_SECONDS = 10
SESSION_SECONDS = 60  # if the flag says nothing that a lease could have


async def lock(ctx: Context) -> None:
    """Hold a lock until a signal comes, or while a command runs."""
    if not ctx.arguments:
        raise Failure(
            "lock takes a lock name argument and an optional command to execute", BAD_ARGUMENTS
        )
    ttl, words = ctx.flags.number("ttl"), ctx.arguments[1:]
    acquired = False
    try:
        async with ctx.client() as client, until_signal() as stop:
            with stop.cancels() as scope:
                name = ctx.argument_bytes(0)
                async with client.lock(name, ttl=ttl if ttl > 0 else SESSION_SECONDS) as held:
                    # A signal may have come together with the lock.
                    await trio.lowlevel.checkpoint()
                    acquired = True
                    if words:
                        stop.spare(scope)
                        await run_child(words, _variables(held), stop)
                        return
                    found = await client.call("KV/Range", RangeRequest(key=held.key))
                    if not found.kvs:
                        raise Failure("lock lost on init")
                    ctx.show(RangeView(found))
                    await trio.sleep_forever()
    except LeaseLost:
        raise Failure("session expired") from None
    if not acquired:
        raise Failure("context canceled")


def _variables(held: Lock) -> dict[str, bytes]:
    """The revision is the lock's fencing token: it grows from holder to holder."""
    return {"ETCD_LOCK_KEY": held.key, "ETCD_LOCK_REV": b"%d" % held.token}


COMMANDS = (
    Command(
        "lock",
        "lock <lockname> [exec-command arg1 arg2 ...]",
        "Acquires a named lock",
        run=lock,
        flags=(Flag.number("ttl", "timeout for session", default=TTL_SECONDS),),
        long=(
            "Waits for the lock, prints its key, and holds it until Ctrl-C or SIGTERM.\n"
            "With a command: holds it while that runs, and ends with its exit code. The command finds the lock's key"
            " in\nETCD_LOCK_KEY and a number that grows from holder to holder in ETCD_LOCK_REV. It is ended if the"
            " lock is lost."
        ),
        example=(
            "  triodectl lock nightly\n\n"
            "  # One at a time, on whatever machine; behind -- flags belong to the command\n"
            "  triodectl lock nightly -- tar -czf /backup/data.tgz /data"
        ),
    ),
)
