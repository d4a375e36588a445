"""`ETCDCTL_*` and `TRIODECTL_*`: a variable for every global flag."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from ..common.errors import complain
from ..common.exits import Failure
from ..common.flags import FlagError, FlagValues
from .global_flags import GLOBAL_FLAGS

__all__ = ["PREFIXES", "complete", "variable_of"]

PREFIXES: Final = ("TRIODECTL_", "ETCDCTL_")
_OTHERS: Final = frozenset(("WATCH_KEY", "WATCH_RANGE_END", "API"))


def variable_of(name: str, prefix: str = "ETCDCTL_") -> str:
    """The variable of a flag."""
    return prefix + name.upper().replace("-", "_")


def complete(flags: FlagValues, variables: Mapping[str, str] | None = None) -> None:
    """Take the global flags that were not given from the environment.

    `TRIODECTL_*` goes before `ETCDCTL_*`. A variable beside its flag is an error: which one was meant cannot be
    known. What looks like ours and is none is warned of.

    Args:
        flags: to complete.
        variables: the environment; None: the process's.

    Raises:
        Failure: a variable in conflict with a flag.
    """
    variables = os.environ if variables is None else variables
    ours = {key: text for key, text in variables.items() if key.startswith(PREFIXES)}
    if not ours:
        return
    for prefix in reversed(PREFIXES):  # the last one wins
        for flag in GLOBAL_FLAGS:
            key = variable_of(flag.name, prefix)
            text = ours.pop(key, "")
            if not text:
                continue
            if flags.changed(flag.name):
                _log(
                    "fatal",
                    "conflicting environment variable is shadowed by corresponding command-line flag"
                    " (either unset environment variable or disable flag))",
                    key,
                )
                raise Failure("")  # all is said
            try:
                flags.set_default(flag.name, text)
            except FlagError as error:
                _log("warn", f"ignored environment variable: {error}", key)
    for key, text in ours.items():
        if key.split("_", 1)[1] not in _OTHERS:
            _log("warn", "unrecognized environment variable", f"{key}={text}")


def _log(level: str, text: str, variable: str) -> None:
    """A log line as Go's programs write it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    line = {
        "level": level,
        "ts": f"{now}Z",
        "msg": text,
        "environment-variable": variable,
    }
    complain(json.dumps(line, separators=(",", ":")), prefix="")
