"""The daemon's log lines: JSON as etcd's, or columns for people; colour only on a terminal."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from ..config import Config
from ..errors import ConfigError

__all__ = ["reopen", "set_up", "writes_to_stderr"]

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
_DIM, _END = "\x1b[2m", "\x1b[0m"
_COLOURS = {"debug": "35", "info": "34", "warn": "33", "error": "31", "fatal": "31;1"}


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, "info")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key.replace("_", "-"): value for key, value in getattr(record, "fields", {}).items()}


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond:06d}Z"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: level, ts, logger, caller, msg, and the line's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "level": _level(record),
            "ts": _time(record),
            "logger": record.name,
            "caller": f"{record.module}.py:{record.lineno}",
            "msg": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, and the fields as name=value.

    On a terminal with colours, the time is local and short, and what is not the message stays behind.
    """

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level, fields = _level(record), _fields(record)
        message = record.getMessage()
        if self._colour:
            at = datetime.fromtimestamp(record.created).astimezone()
            time = f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"
            shown = "".join(f" {_DIM}{key}={_END}{_value(fields[key])}" for key in fields)
            level = f"\x1b[{_COLOURS[level]}m{level:5}{_END}"
            line = f"{_DIM}{time}{_END} {level} {_DIM}{record.name}{_END} {message}{shown}"
        else:
            shown = "".join(f" {key}={_value(fields[key])}" for key in fields)
            line = f"{_time(record)} {level:5} {record.name}: {message}{shown}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _value(value: Any) -> str:
    """As it is if that can be told from what follows, else quoted: nobody writes lines of their own."""
    text = str(value)
    plain = text.isprintable() and text != "" and not text.startswith('"')
    return text if plain and (" " not in text or isinstance(value, list)) else json.dumps(text)


def _handler(output: str, form: str) -> logging.Handler:
    stream: TextIO | None = {
        "default": sys.stderr,
        "stderr": sys.stderr,
        "stdout": sys.stdout,
    }.get(output)
    handler: logging.Handler
    if stream is not None:
        handler = logging.StreamHandler(stream)
        colour = stream.isatty() and not os.environ.get("NO_COLOR")
    else:
        try:
            handler = logging.FileHandler(output, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigError(f"log-outputs: cannot write {output!r}: {error.strerror}") from None
        colour = False
    handler.setFormatter(ConsoleFormatter(colour=colour) if form == "console" else JsonFormatter())
    return handler


def set_up(config: Config) -> None:
    """Send the lines of all loggers where the configuration says."""
    outputs = config.log_outputs.split(",")
    handlers = [_handler(output.strip(), config.log_format) for output in outputs]
    root = (
        logging.getLogger()
    )  # what is there stays until all of the new is there: it may have to tell
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(LEVELS[config.log_level])


def reopen() -> int:
    """Open all files anew, by their names: they may have been moved away. Returns how many there are.

    One that cannot be opened is written on as it was, and an error line says so.
    """
    files = [one for one in logging.getLogger().handlers if isinstance(one, logging.FileHandler)]
    for handler in files:
        try:
            stream = Path(handler.baseFilename).open(  # noqa: SIM115  # the handler's from now on
                "a", encoding=handler.encoding, errors=handler.errors
            )
        except OSError as error:
            told = f"cannot reopen {handler.baseFilename}: {error.strerror}"
            logging.getLogger("triode").error(told)  # noqa: TRY400  # a stack says nothing more
            continue
        old = handler.setStream(stream)
        if old is not None:
            old.close()
    return len(files)


def writes_to_stderr() -> bool:
    """Whether somebody who looks at stderr sees the lines."""
    return any(
        isinstance(one, logging.StreamHandler) and one.stream is sys.stderr
        for one in logging.getLogger().handlers
    )
