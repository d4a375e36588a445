"""The entry point of `triodectl`.

It is started for every single call, so nothing is imported here but what finds the command.
"""

from __future__ import annotations

from typing import Final, NoReturn

from ...version import API_VERSION, SERVER_VERSION
from ..common.exits import Failure
from ..common.program import Program
from ..common.run import main as run
from .commands.table import MODULES
from .context import Context
from .global_flags import GLOBAL_FLAGS

__all__ = ["PROGRAM", "main"]


def _explain(error: BaseException) -> Failure | None:
    from .failures import explain

    return explain(error)


PROGRAM: Final = Program(
    name="triodectl",
    description="A simple command line client for Triode and etcd.",
    version=SERVER_VERSION,
    api_version=API_VERSION,
    package=__package__ or "",
    modules=MODULES,
    flags=GLOBAL_FLAGS,
    invocation=Context,
    explain=_explain,
)


def main() -> NoReturn:
    """Run `triodectl` with the process's command line."""
    run(PROGRAM)
