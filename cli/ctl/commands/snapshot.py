"""`triodectl snapshot`: save one; the rest has moved to `triodeutl`."""

from __future__ import annotations

import math
import os
from pathlib import Path

from ....errors import EtcdError
from ...common.command import Command
from ...common.errors import complain
from ...common.exits import BAD_ARGUMENTS, INTERRUPTED, Failure
from ...common.flags import Flag
from ..context import Context
from ..failures import error_text
from ..interrupts import until_signal

__all__ = ["COMMANDS"]


async def save(ctx: Context) -> None:
    """Save the backend of one member; without a time limit unless one is given."""
    from .. import saving

    if len(ctx.arguments) != 1:
        raise Failure("snapshot save expects one argument <filename>", BAD_ARGUMENTS)
    ctx.settle()
    path = Path(ctx.arguments[0])
    seconds = None if ctx.flags.changed("command-timeout") else math.inf
    version = None
    async with ctx.client() as client, until_signal() as stop:
        endpoints = client.channel.endpoints
        if len(endpoints) != 1:
            text = f"snapshot must be requested to one selected node, not multiple [{' '.join(endpoints)}]"
            raise Failure(text, INTERRUPTED)
        with stop.cancels():
            try:
                with ctx.deadline(seconds):
                    version = await saving.save(client, path)
            except saving.SaveFailed as error:
                raise Failure(str(error), INTERRUPTED) from None
            except EtcdError as error:
                raise Failure(error_text(error), INTERRUPTED) from None
            except Failure as failure:
                raise Failure(failure.text, INTERRUPTED) from None
    if version is None:
        raise Failure("could not write snapshot: context canceled", INTERRUPTED)
    ctx.out.line(f"Snapshot saved at {path}")
    if version:
        ctx.out.line(f"Server version {version}")


def status(ctx: Context) -> int:
    """What a file holds."""
    return _offline(ctx, "status")


def restore(ctx: Context) -> int:
    """A data directory from a file."""
    return _offline(ctx, "restore")


def _offline(ctx: Context, name: str) -> int:
    """Have the offline tool do it."""
    from ...common.run import execute
    from ...utl.main import PROGRAM

    complain(f"Deprecated: Use `triodeutl snapshot {name}` instead.\n", prefix="")
    ctx.settle()
    os.umask(0o077)
    words = ["snapshot", name, f"--write-out={ctx.form}"]
    for flag in ctx.command.flags:
        if ctx.flags.changed(flag.name):
            value = ctx.flags.value(flag.name)
            words.append(f"--{flag.name}={str(value).lower() if value in (True, False) else value}")
    return execute(PROGRAM, [*words, "--", *ctx.arguments], ctx.out)


COMMANDS = (
    Command(
        "snapshot",
        "snapshot <subcommand>",
        "Manages etcd node snapshots",
        example="  triodectl snapshot save backup.db",
    ),
    Command(
        "snapshot save",
        "save <filename>",
        "Stores an etcd node backend snapshot to a given file",
        run=save,
        long=(
            "The member that --endpoints names, exactly one, is asked. The file is there when all of it is on the"
            " disk;\nuntil then it is <filename>.part. There is no time limit unless --command-timeout is given."
        ),
        example=(
            "  # Save snapshot to a given file\n"
            "  triodectl snapshot save /backup/etcd-snapshot.db\n\n"
            "  # Get snapshot from given address and save it to file\n"
            "  triodectl snapshot save --endpoints=127.0.0.1:3000 /backup/etcd-snapshot.db\n\n"
            "  # Save snapshot with desirable time format\n"
            "  triodectl snapshot save /mnt/backup/etcd/backup_$(date +%Y%m%d_%H%M%S).db"
        ),
    ),
    Command(
        "snapshot status",
        "status <filename>",
        "[deprecated] Gets backend snapshot status of a given file",
        run=status,
        long="Moved to `triodeutl snapshot status ...`",
        example="  triodectl snapshot status backup.db -w table",
    ),
    Command(
        "snapshot restore",
        "restore <filename> [options]",
        "[deprecated] Restores an etcd member snapshot to an etcd directory",
        run=restore,
        long="Moved to `triodeutl snapshot restore ...`",
        flags=(
            Flag.text("data-dir", "Path to the data directory"),
            Flag.text("wal-dir", "Path to the WAL directory (use --data-dir if none given)"),
            Flag.text("name", "Human-readable name for this member", default="default"),
            Flag.text(
                "initial-cluster",
                "Initial cluster configuration for restore bootstrap",
                default="default=http://localhost:2380",
            ),
            Flag.text(
                "initial-cluster-token",
                "Initial cluster token for the etcd cluster during restore bootstrap",
                default="etcd-cluster",
            ),
            Flag.text(
                "initial-advertise-peer-urls",
                "List of this member's peer URLs to advertise to the rest of the cluster",
                default="http://localhost:2380",
            ),
            Flag.switch(
                "skip-hash-check",
                "Ignore snapshot integrity hash value (required if copied from data directory)",
            ),
        ),
        example="  triodectl snapshot restore backup.db --data-dir default.triode",
    ),
)
