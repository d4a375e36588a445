"""`migrate`: the storage version that a database says it has."""

from __future__ import annotations

from pathlib import Path

from ....errors import StorageError
from ...common.command import Command, Invocation
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag
from ..locks import writing
from ..places import find_member
from ..storage_version import parse_target, set_version

__all__ = ["COMMANDS"]


def migrate(call: Invocation) -> None:
    """Refuses a directory in use."""
    given = {name: call.flags.text(name) for name in ("data-dir", "target-version")}
    if missing := [f'"{name}"' for name, text in given.items() if not text]:
        raise Failure(f"required flag(s) {', '.join(missing)} not set")
    try:
        target = parse_target(given["target-version"])
    except ValueError as error:
        raise Failure(str(error), BAD_ARGUMENTS) from None
    member = find_member(Path(given["data-dir"]))
    with writing(member, call.flags.seconds("timeout")):
        try:
            set_version(member, target, force=call.flags.switch("force"))
        except StorageError as error:
            raise Failure(str(error)) from None


COMMANDS = (
    Command(
        "migrate",
        "migrate",
        "Migrates schema of data dir files to make them compatible with different etcd version",
        run=migrate,
        arguments=(0, 0),
        long=(
            "Between 3.5 and 3.6 there is one difference: from 3.6 on the database says which version it is of. etcd\n"
            "refuses to start from a later one than its own. Triode stores the same for both and never looks at it; what\n"
            "is written here goes along in snapshots of this member, for an etcd that one is restored to."
        ),
        example=(
            "  triodeutl migrate --data-dir default.etcd --target-version 3.5\n"
            "  triodeutl migrate --data-dir default.triode --target-version 3.6"
        ),
        flags=(
            Flag.text("data-dir", "path to the data dir"),
            Flag.text(
                "target-version",
                'target etcd version to migrate contents of data dir. Minimal value 3.5. Format "X.Y" for example 3.6.',
            ),
            Flag.switch(
                "force",
                "ignore migration failure and forcefully override storage version. Not recommended.",
            ),
        ),
    ),
)
