"""`triodectl version`, `triodectl options` and `triodectl completion`."""

from __future__ import annotations

from ....version import TRIODE_VERSION
from ...common.command import Command, Invocation
from ...common.completion_command import COMPLETION

__all__ = ["COMMANDS"]


def version(run: Invocation) -> None:
    """Print versions; the first two lines are etcdctl's, which tools read."""
    run.out.line(f"etcdctl version: {run.program.version}")
    run.out.line(f"API version: {run.program.api_version}")
    run.out.line(f"Triode version: {TRIODE_VERSION}")


def options(run: Invocation) -> None:
    """Print the flags that all commands take."""
    from ...common.help import flag_lines
    from ...common.tabs import align

    run.out.line("The following options can be passed to any command:\n")
    run.out.line(align("\n".join(flag_lines(run.program.flags))))


COMMANDS = (
    COMPLETION,
    Command("version", "version", "Prints the version of etcdctl", run=version),
    Command("options", "options", "Prints the flags that every command takes", run=options),
)
