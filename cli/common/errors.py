"""What goes to stderr, and how a program dies of a signal as others do."""

from __future__ import annotations

import os
import signal
import sys

from .colour import wanted
from .goquote import as_bytes

__all__ = ["complain", "die_of", "leaf"]


def complain(text: str, *, prefix: str = "Error: ") -> None:
    """A line on stderr, whatever bytes it quotes. A closed stderr is nobody's fault."""
    try:
        sys.stderr.flush()
        stream = getattr(sys.stderr, "buffer", None)
        if stream is None:
            sys.stderr.write(f"{prefix}{text}\n")
        else:
            if prefix == "Error: " and wanted(sys.stderr):
                prefix = "\x1b[31mError:\x1b[0m "
            stream.write(as_bytes(f"{prefix}{text}\n"))
            stream.flush()
    except OSError:
        pass


def die_of(number: signal.Signals) -> None:
    """End this process by a signal's default action, so that a shell sees 128 + its number."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def leaf(error: BaseException) -> BaseException:
    """What failed first in a tree of exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
