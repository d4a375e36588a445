"""Asking a person."""

from __future__ import annotations

import signal
import sys
import threading

from .exits import Failure

__all__ = ["ask_password"]


def ask_password(prompt: str) -> str:
    """Ask for a password without showing it. Without a terminal, a line of stdin is taken.

    Raises:
        Failure: there is nothing to read.
    """
    if sys.stdin.isatty():
        return _ask_hidden(prompt)
    sys.stdout.write(prompt)
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise Failure("EOF")
    sys.stdout.write("\n")
    return line.rstrip("\r\n")


def _ask_hidden(prompt: str) -> str:
    """Ask on the terminal; whatever ends it, the terminal shows again what is typed."""
    from getpass import getpass

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if main else None
    try:
        return getpass(prompt)
    except EOFError:
        raise Failure("EOF") from None
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
