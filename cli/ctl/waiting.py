"""Waiting for a cluster that cannot be reached, and saying why to whoever waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from ...client.errors import Unreachable, UntrustedServer
from ..common.errors import complain
from ..common.exits import Failure
from .failures import DEADLINE_TEXT

__all__ = ["DEADLINE_TEXT", "patiently", "say_why"]

T = TypeVar("T")


async def patiently(work: Callable[[], Awaitable[T]], said: set[str]) -> T:
    """Do work, again and again while no endpoint can be reached. The caller's scope bounds it.

    What is wrong with an endpoint is said once. When they answer but cannot be trusted, waiting helps nobody.

    Args:
        work: makes a call.
        said: the endpoints that have been told of.

    Raises:
        Failure: no endpoint can be trusted; with the text that etcdctl ends with when it has waited.
    """
    while True:
        try:
            return await work()
        except Unreachable as error:
            say_why(error.reasons, said)
            if isinstance(error, UntrustedServer):
                raise Failure(DEADLINE_TEXT) from None


def say_why(reasons: Mapping[str, str], said: set[str]) -> None:
    """Tell of endpoints that cannot be reached: a person in words, a log in the lines that etcdctl writes.

    Args:
        reasons: what is wrong with each endpoint.
        said: the endpoints that have been told of, to which these are added.
    """
    for endpoint, reason in reasons.items():
        if endpoint in said:
            continue
        said.add(endpoint)
        if sys.stderr.isatty():
            complain(f"{endpoint}: {reason}", prefix="Hint: ")
            continue
        line = {
            "level": "warn",
            "ts": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "logger": "etcd-client",
            "msg": "endpoint cannot be reached",
            "endpoint": endpoint,
            "error": reason,
        }
        complain(json.dumps(line, separators=(",", ":")), prefix="")
