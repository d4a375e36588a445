"""Structured log lines: a message that never varies, and fields that do.

The lines go through the standard `logging`, so an embedding program sees them like any others; the daemon
prints them as etcd does. Fields travel as the record's attribute `fields`. Where nobody has set logging up, nothing
is printed, as befits a library.
"""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["Log", "duration"]

logging.getLogger("triode").addHandler(logging.NullHandler())


def duration(seconds: float) -> str:
    """A length of time as Go writes it ("16.918µs", "1.5s"): what reads etcd's logs expects that."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.6g}{name}"
    return f"{round(seconds * 1e9)}ns" if seconds else "0s"


class Log:
    """A logger whose methods take fields as keyword arguments."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **fields: Any) -> None:
        """Something for whoever develops this."""
        self._logger.debug(message, extra={"fields": fields}, stacklevel=2)

    def info(self, message: str, **fields: Any) -> None:
        """Something that the operator may want to know."""
        self._logger.info(message, extra={"fields": fields}, stacklevel=2)

    def warning(self, message: str, **fields: Any) -> None:
        """Something that works but should not be so."""
        self._logger.warning(message, extra={"fields": fields}, stacklevel=2)

    def error(self, message: str, **fields: Any) -> None:
        """Something that failed."""
        self._logger.error(message, extra={"fields": fields}, stacklevel=2)

    def failure(self, message: str, error: BaseException, **fields: Any) -> None:
        """Something that was not foreseen: with the traceback, for whoever mends it."""
        self._logger.error(
            message,
            extra={"fields": {**fields, "error": repr(error)}},
            exc_info=error,
            stacklevel=2,
        )
