"""The command `completion`, for any program."""

from __future__ import annotations

from .command import Command, Invocation
from .shells import script

__all__ = ["COMPLETION", "completion"]


def completion(run: Invocation) -> None:
    """Print the script."""
    run.out.write(script(run.program.name, run.arguments[0]))


COMPLETION = Command(
    "completion",
    "completion [bash|zsh|fish|powershell]",
    "Generate completion script",
    run=completion,
    arguments=(1, 1),
    choices=("bash", "zsh", "fish", "powershell"),
    long="""\
To load completions:

Bash:

  $ source <({program} completion bash)

  # To load completions for each session, execute once:
  $ {program} completion bash > /etc/bash_completion.d/{program}

Zsh:

  $ {program} completion zsh > "${fpath[1]}/_{program}"

Fish:

  $ {program} completion fish > ~/.config/fish/completions/{program}.fish

PowerShell:

  PS> {program} completion powershell | Out-String | Invoke-Expression""",
)
