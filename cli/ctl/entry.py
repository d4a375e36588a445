"""What the script `triodectl` calls: it prepares the interpreter before anything else is imported."""

from __future__ import annotations

import gc
import signal
from typing import Final, NoReturn

__all__ = ["main"]

GC_OBJECTS: Final = 100_000
"""Imports make tens of thousands of objects that stay: looking for garbage among them takes a tenth of the start-up."""


def main() -> NoReturn:
    """Run `triodectl` with the process's command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # from here on, Ctrl-C shows no inside
    gc.set_threshold(GC_OBJECTS, 20, 100)
    from .main import main as run

    run()
