"""Standard input, output and error when a parent has closed them."""

from __future__ import annotations

import os
import sys
from typing import Final

__all__ = ["open_missing"]

_STREAMS: Final = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def open_missing() -> None:
    """Let what is closed be the empty file, so that the next file or socket is not taken for it."""
    for number, name, mode in _STREAMS:
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="surrogateescape"))
