"""Passwords of other users: asked twice on a terminal, or read from stdin."""

from __future__ import annotations

import sys

from ..common.exits import BAD_ARGUMENTS, Failure
from ..common.goquote import as_text
from ..common.prompt import ask_password

__all__ = ["ask_new_password", "read_password"]


def ask_new_password(name: str) -> str:
    """Ask for a user's new password, and once more.

    Raises:
        Failure: there is none, or the two differ.
    """
    first = _ask(f"Password of {name}: ")
    if not first:
        raise Failure("empty password", BAD_ARGUMENTS)
    if _ask(f"Type password of {name} again for confirmation: ") != first:
        raise Failure("given passwords are different", BAD_ARGUMENTS)
    return first


def _ask(prompt: str) -> str:
    try:
        return ask_password(prompt)
    except Failure as failure:
        raise Failure(f"failed to ask password: {failure.text}", BAD_ARGUMENTS) from None


def read_password() -> str:
    """The first word of stdin's first line; "" if there is none."""
    words = as_text(sys.stdin.buffer.readline()).split(maxsplit=1)
    return words[0] if words else ""
