"""Exit codes of etcd's command line tools, and the exception that carries one out of a command."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BAD_ARGUMENTS",
    "BAD_CONNECTION",
    "BAD_FEATURE",
    "ERROR",
    "INTERRUPTED",
    "INVALID_INPUT",
    "IO_FAILED",
    "OK",
    "Failure",
]

OK: Final = 0
ERROR: Final = 1
BAD_CONNECTION: Final = 2
INVALID_INPUT: Final = 3  # of the text that `txn` and `watch -i` read
BAD_FEATURE: Final = 4  # a known flag with a value that is not supported
INTERRUPTED: Final = 5
IO_FAILED: Final = 6
BAD_ARGUMENTS: Final = 128


class Failure(Exception):
    """A command ends with `Error: <text>` on stderr and this exit code.

    Args:
        text: what is wrong, in etcdctl's words where it has some; "" if all is said already.
        code: the exit code; 1 if it is not told.
    """

    def __init__(self, text: str, code: int = ERROR) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
