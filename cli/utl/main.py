"""`triodeutl`: its commands, and the flags that all of them take."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Final, NoReturn

from ...errors import TriodeError
from ...version import API_VERSION, SERVER_VERSION
from ..common.exits import Failure
from ..common.flags import Flag
from ..common.program import Program

__all__ = ["PROGRAM", "main"]

FORMATS: Final = ("fields", "json", "protobuf", "simple", "table")
LOCK_SECONDS: Final = 10.0


def explain(error: BaseException) -> Failure | None:
    """Faults of files say themselves what is wrong, and with which."""
    if isinstance(error, TriodeError):
        return Failure(str(error))
    if isinstance(error, MemoryError):
        return Failure("out of memory")
    return None


def _modules(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: f".commands.{module}" for name, module in sorted(pairs)}


PROGRAM: Final = Program(
    name="triodeutl",
    description="An administrative command line tool for the files of a member that is not running.",
    version=SERVER_VERSION,
    api_version=API_VERSION,
    package=__package__ or "",
    modules=_modules(
        {
            "backend": "backend",
            "check": "check",
            "completion": "about",
            "defrag": "defrag",
            "hashkv": "hashkv",
            "metadata": "metadata",
            "migrate": "migrate",
            "snapshot": "snapshot",
            "version": "about",
            "wal": "wal",
        }.items()
    ),
    flags=(
        Flag.text(
            "write-out",
            f"set the output format ({', '.join(FORMATS)})",
            default="simple",
            short="w",
            choices=FORMATS,
        ),
        Flag.seconds(
            "timeout",
            "time to wait for whoever uses the files, 0 to wait as long as it takes",
            default=LOCK_SECONDS,
        ),
    ),
    explain=explain,
)


def main() -> NoReturn:
    """The entry point of the command `triodeutl`."""
    from ..common import run

    # a terminal that goes away must not leave a directory half made: commands that write look at this
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.umask(0o077)
    run.main(PROGRAM)


if __name__ == "__main__":
    main()
