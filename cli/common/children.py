"""What became of other programs, in Go's words."""

from __future__ import annotations

import signal

from .goquote import quote

__all__ = ["cannot_run", "ending"]


def cannot_run(name: str, error: OSError) -> str:
    """Why a program was not started. A name without a slash is looked for in $PATH."""
    from shutil import which

    found = name if "/" in name else which(name)
    if found is not None:
        return f"fork/exec {found}: {(error.strerror or str(error)).lower()}"
    return f"exec: {quote(name)}: executable file not found in $PATH"


def ending(code: int) -> str:
    """How it ended, if not well; below 0 the code is a signal's."""
    if code >= 0:
        return f"exit status {code}"
    return f"signal: {(signal.strsignal(-code) or str(-code)).lower()}"
