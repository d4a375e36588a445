"""The pages, to the byte."""

from __future__ import annotations

import pytest

from triode.rpc import pages
from triode.rpc.http_reply import HttpReply

TEXT = ("Content-Type", "text/plain; charset=utf-8")
NO_SNIFF = ("X-Content-Type-Options", "nosniff")
WRONG_VERB = HttpReply(405, [("Allow", "GET"), TEXT, NO_SNIFF], b"Method Not Allowed\n")


def wanted(target: str) -> pages.ChecksWanted:
    found = pages.checks_wanted("GET", target)
    assert isinstance(found, pages.ChecksWanted)
    return found


def health_query(target: str) -> pages.HealthQuery:
    found = pages.health_query("GET", target)
    assert isinstance(found, pages.HealthQuery)
    return found


def test_health() -> None:
    assert pages.health("") == HttpReply(200, [TEXT], b'{"health":"true","reason":""}')
    assert pages.health("RAFT NO LEADER") == HttpReply(
        503, [TEXT, NO_SNIFF], b'{"health":"false","reason":"RAFT NO LEADER"}\n'
    )
    text = 'RANGE ERROR:etcdserver: "timed": out, "x"'
    assert pages.health(text).body == (
        b'{"health":"false","reason":"RANGE ERROR:etcdserver: \\"timed\\": out, \\"x\\""}\n'
    )


@pytest.mark.parametrize(
    ("target", "excluded", "serializable"),
    [
        ("/health", set(), False),
        ("/health?serializable=true", set(), True),
        ("/health?serializable=True", set(), False),
        ("/health?serializable=false&serializable=true", set(), False),
        ("/health?exclude=NOSPACE", {"NOSPACE"}, False),
        ("/health?exclude=NOSPACE&exclude=CORRUPT&exclude=", {"NOSPACE", "CORRUPT"}, False),
    ],
)
def test_health_query(target: str, excluded: set[str], serializable: bool) -> None:
    query = health_query(target)
    assert (set(query.excluded_alarms), query.serializable) == (excluded, serializable)


def test_alarms() -> None:
    plain, excluding = health_query("/health"), health_query("/health?exclude=NOSPACE")
    assert pages.alarm_reason([], plain) == ""
    assert pages.alarm_reason(["NOSPACE", "CORRUPT"], plain) == "ALARM NOSPACE"
    assert pages.alarm_reason(["NOSPACE", "CORRUPT"], excluding) == "ALARM CORRUPT"
    assert pages.alarm_reason(["NOSPACE"], excluding) == ""
    assert pages.alarm_reason(["7"], plain) == "ALARM UNKNOWN"


def test_checks() -> None:
    assert wanted("/livez") == (("serializable_read",), False)
    assert pages.checks(wanted("/livez"), {}) == HttpReply(200, [TEXT, NO_SNIFF], b"ok\n")
    assert pages.checks(wanted("/readyz?verbose"), {}).body == (
        b"[+]data_corruption ok\n[+]serializable_read ok\n"
        b"[+]linearizable_read ok\n[+]non_learner ok\n[+]disk_space ok\nok\n"
    )
    failed = pages.checks(
        wanted("/readyz?exclude=serializable_read&exclude=unheard_of"),
        {"data_corruption": pages.CORRUPT_REASON, "serializable_read": "not asked for"},
    )
    assert failed == HttpReply(
        503,
        [TEXT, NO_SNIFF],
        b"[-]data_corruption failed: alarm activated: CORRUPT\n"
        b"[+]linearizable_read ok\n[+]non_learner ok\n[+]disk_space ok\n\n",
    )


def test_single_checks() -> None:
    assert wanted("/readyz/non_learner?exclude=non_learner") == (("non_learner",), False)
    reply = pages.checks(wanted("/readyz/non_learner"), {"non_learner": pages.LEARNER_REASON})
    assert reply.body == b"[-]non_learner failed: not supported for learner\n\n"
    assert pages.checks(wanted("/livez/serializable_read?verbose=1"), {}).body == (
        b"[+]serializable_read ok\nok\n"
    )


def test_other_paths() -> None:
    for target in ("/", "/health", "/livezz", "livez", "/metrics"):
        assert pages.checks_wanted("GET", target) is None
    for target in ("/livez/non_learner", "/livez/", "/readyz/x/y"):
        reply = pages.checks_wanted("GET", target)
        assert isinstance(reply, HttpReply)
        assert (reply.status, reply.body) == (404, b"404 page not found\n")


@pytest.mark.parametrize("verb", ["POST", "PUT", "HEAD"])
def test_only_get(verb: str) -> None:
    assert pages.health_query(verb, "/health") == WRONG_VERB
    assert pages.checks_wanted(verb, "/readyz") == WRONG_VERB
    assert pages.version(verb, server="3.6.1") == WRONG_VERB


def test_absurd_queries() -> None:
    target = "?" + "&".join(f"exclude={number}" for number in range(200))
    for reply in (
        pages.health_query("GET", "/health" + target),
        pages.checks_wanted("GET", "/livez" + target),
    ):
        assert isinstance(reply, HttpReply)
        assert reply.status == 400


def test_version() -> None:
    reply = pages.version("GET", server="3.6.1", cluster="3.6.0", storage="3.6.0")
    assert reply == HttpReply(
        200,
        [("Content-Type", "application/json")],
        b'{"etcdserver":"3.6.1","etcdcluster":"3.6.0","storage":"3.6.0"}',
    )
    assert pages.version("GET", server="3.6.1").body == (
        b'{"etcdserver":"3.6.1","etcdcluster":"not_decided","storage":"unknown"}'
    )
