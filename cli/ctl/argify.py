"""Words of a line that `txn` and `watch -i` read: bare, '...' as it is, or "..." with Go's escapes."""

from __future__ import annotations

import re
from typing import Final

from ..common.exits import INVALID_INPUT, Failure
from ..common.goquote import unquote_prefix

__all__ = ["argify"]

_WORD: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*[^'"\s]?""", re.ASCII)


def argify(line: str) -> list[str]:
    """The words of a line. Raises Failure (exit code 3) for a wrong escape."""
    return [_plain(word) for word in _WORD.findall(line)]


def _plain(word: str) -> str:
    if word.startswith("'"):
        return word[1:-1]
    if not word.startswith('"'):
        return word
    try:
        return unquote_prefix(word)[0]
    except ValueError as error:
        raise Failure(str(error), INVALID_INPUT) from None
