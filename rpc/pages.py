"""The HTTP pages beside the API: /health, /livez, /readyz, /version. Pure rendering.

The node runs the checks and hands in what they found; here is decided which checks a request wants,
and what the answer looks like, to the byte: probes and scripts compare these texts.

* `/health` is etcd's old page: one JSON object, the first problem as its reason.
* `/livez` and `/readyz` list named checks. `/livez` asks whether a restart would help, `/readyz`
  whether requests should be sent here. `/livez/NAME` runs one check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qs

import attrs

from .http_reply import HttpReply, error_page, method_not_allowed, not_found

__all__ = [
    "CHECKS",
    "LIVEZ",
    "READYZ",
    "ChecksWanted",
    "HealthQuery",
    "alarm_reason",
    "checks",
    "checks_wanted",
    "health",
    "health_query",
    "version",
]

LIVEZ: Final = ("serializable_read",)
READYZ: Final = (
    "data_corruption",
    "serializable_read",
    "linearizable_read",
    "non_learner",
    "disk_space",  # ours: the member refuses writes, as its disk is full
)
CHECKS: Final[Mapping[str, tuple[str, ...]]] = {"livez": LIVEZ, "readyz": READYZ}
CORRUPT_REASON: Final = "alarm activated: CORRUPT"  # of the check data_corruption
LEARNER_REASON: Final = "not supported for learner"  # of the check non_learner

_PLAIN: Final = ("Content-Type", "text/plain; charset=utf-8")
_JSON: Final = ("Content-Type", "application/json")


def _query(target: str) -> dict[str, list[str]]:
    return parse_qs(target.partition("?")[2], keep_blank_values=True, max_num_fields=100)


# --- /health -----------------------------------------------------------------------------------


@attrs.frozen
class HealthQuery:
    """What a request to /health asks for."""

    excluded_alarms: frozenset[str]  # "NOSPACE", "CORRUPT"
    serializable: bool  # read the local store: needs neither leader nor quorum


def health_query(verb: str, target: str) -> HealthQuery | HttpReply:
    """Read the request; a reply when it is wrong."""
    if verb != "GET":
        return method_not_allowed()
    try:
        query = _query(target)
    except ValueError as error:
        return error_page(400, str(error))
    excluded = frozenset(name for name in query.get("exclude", ()) if name)
    return HealthQuery(excluded, query.get("serializable", [""])[0] == "true")


def alarm_reason(alarms: Iterable[str], query: HealthQuery) -> str:
    """The reason for the first alarm that counts, given the names of all active ones; "" for none."""
    for alarm in alarms:
        if alarm not in query.excluded_alarms:
            return f"ALARM {alarm if alarm in ('NOSPACE', 'CORRUPT') else 'UNKNOWN'}"
    return ""


def health(reason: str) -> HttpReply:
    """The page, given why the member is unhealthy: "" (it is well), "RAFT NO LEADER",
    "RANGE ERROR:" and the error's text, or an `alarm_reason`. etcd looks at alarms first, then (unless
    serializable) at the leader, then reads.
    """  # noqa: D205 - a list of texts
    found = {"health": "false" if reason else "true", "reason": reason}
    body = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return error_page(503, body) if reason else HttpReply(200, [_PLAIN], body.encode())


# --- /livez and /readyz ------------------------------------------------------------------------


class ChecksWanted(NamedTuple):
    """What a request to /livez or /readyz asks for."""

    names: tuple[str, ...]  # of the checks to run, in the order of the report
    verbose: bool


def checks_wanted(verb: str, target: str) -> ChecksWanted | HttpReply | None:
    """Read a request to /livez, /readyz or one check of theirs; None for any other path.

    Excluding an unknown check is no error, so that probes can be written before an upgrade.
    """
    path = target.partition("?")[0]
    kind, slash, name = path.removeprefix("/").partition("/")
    known = CHECKS.get(kind)
    if known is None or not path.startswith("/"):
        return None
    if slash and name not in known:
        return not_found()
    if verb != "GET":
        return method_not_allowed()
    try:
        query = _query(target)
    except ValueError as error:
        return error_page(400, str(error))
    verbose = "verbose" in query
    if slash:
        return ChecksWanted((name,), verbose)
    excluded = query.get("exclude", ())
    return ChecksWanted(tuple(name for name in known if name not in excluded), verbose)


def checks(wanted: ChecksWanted, failures: Mapping[str, str]) -> HttpReply:
    """The page, given the failed checks: name -> reason. Failures are listed even when not verbose."""
    lines = [
        f"[-]{name} failed: {failures[name]}\n" if name in failures else f"[+]{name} ok\n"
        for name in wanted.names
    ]
    if any(name in failures for name in wanted.names):
        return error_page(503, "".join(lines))
    text = "".join(lines) + "ok\n" if wanted.verbose else "ok\n"
    return HttpReply(200, [_PLAIN, ("X-Content-Type-Options", "nosniff")], text.encode())


# --- /version ----------------------------------------------------------------------------------


def version(
    verb: str, *, server: str, cluster: str | None = None, storage: str | None = None
) -> HttpReply:
    """What etcd's tools ask before they talk: "3.6.1", "3.6.0", "3.6.0"; None: not decided yet."""
    if verb != "GET":
        return method_not_allowed()
    versions = {
        "etcdserver": server,
        "etcdcluster": cluster or "not_decided",
        "storage": storage or "unknown",
    }
    return HttpReply(200, [_JSON], json.dumps(versions, separators=(",", ":")).encode())
