"""Asking a person."""

from __future__ import annotations

import sys

from .exits import Failure

__all__ = ["ask_password"]


def ask_password(prompt: str) -> str:
    """Ask for a password without showing it. Without a terminal, a line of stdin is taken.

    Raises:
        Failure: there is nothing to read.
    """
    if sys.stdin.isatty():
        from getpass import getpass

        try:
            return getpass(prompt)
        except EOFError:
            raise Failure("EOF") from None
    sys.stdout.write(prompt)
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise Failure("EOF")
    sys.stdout.write("\n")
    return line.rstrip("\r\n")
