"""What a command says while it works: a line each on stderr, as etcd's tools log on a console."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ..common.errors import complain

__all__ = ["info", "warn"]


def info(message: str, **fields: Any) -> None:
    """Something was done, or is about to be."""
    _say("info", message, fields)


def warn(message: str, **fields: Any) -> None:
    """Something that the operator should know."""
    _say("warn", message, fields)


def _say(level: str, message: str, fields: dict[str, Any]) -> None:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = {name.replace("_", "-"): value for name, value in fields.items()}
    tail = f"\t{json.dumps(shown, ensure_ascii=False, default=str)}" if shown else ""
    complain(f"{at}\t{level}\t{message}{tail}", prefix="")
