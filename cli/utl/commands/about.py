"""`version` and `completion`."""

from __future__ import annotations

from ....version import TRIODE_VERSION
from ...common.command import Command, Invocation
from ...common.completion_command import COMPLETION

__all__ = ["COMMANDS"]


def version(call: Invocation) -> None:
    """Print versions; the first two lines are etcdutl's, which tools read."""
    call.out.line(f"etcdutl version: {call.program.version}")
    call.out.line(f"API version: {call.program.api_version}")
    call.out.line(f"Triode version: {TRIODE_VERSION}")


COMMANDS = (
    COMPLETION,
    Command("version", "version", "Prints the version of etcdutl", run=version, arguments=(0, 0)),
)
