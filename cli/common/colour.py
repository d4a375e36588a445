"""Colour for people: on a terminal, unless `NO_COLOR` is set or the terminal is dumb."""

from __future__ import annotations

import os
from typing import Final, TextIO

__all__ = ["STYLES", "paint", "wanted"]

STYLES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}


def wanted(stream: TextIO) -> bool:
    """May colours be written to this stream?"""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def paint(text: bytes | str, style: str) -> bytes:
    """Text in a style of `STYLES`."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return b"\x1b[" + STYLES[style].encode() + b"m" + data + b"\x1b[0m"
