"""What a request below /ui asks for, and what is refused; pure."""

from __future__ import annotations

import pytest

from triode.rpc.http_reply import HttpReply
from triode.rpc.methods import REST_PATHS
from triode.rpc.ui_paths import (
    READ_ONLY,
    READ_WRITE,
    WRITES,
    KeyQuery,
    is_ui,
    key_query,
    route,
)

HOST = "10.0.0.1:2379"
READS = ["kv/range", "watch", "lease/leases", "lease/timetolive", "cluster/member/list"]


@pytest.mark.parametrize("target", ["/ui", "/ui/", "/ui?x", "/ui/api/node", "/ui/../x"])
def test_below_ui(target: str) -> None:
    assert is_ui(target)


@pytest.mark.parametrize("target", ["/", "/u", "/uix", "/ui2/api", "/v3/ui", "/UI"])
def test_elsewhere(target: str) -> None:
    assert not is_ui(target)


@pytest.mark.parametrize(
    ("verb", "target", "found"),
    [
        ("GET", "/ui", "page"),
        ("HEAD", "/ui/", "page"),
        ("GET", "/ui?x=1", "page"),
        ("GET", "/ui/api/node", "node"),
        ("GET", "/ui/api/actors", "actors"),
        ("GET", "/ui/api/key?key=YQ", "key"),
    ],
)
def test_its_own(verb: str, target: str, found: str) -> None:
    assert route(READ_ONLY, verb, target, [], HOST) == found


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("mode", [READ_ONLY, READ_WRITE])
def test_reading_is_always_allowed(path: str, mode: str) -> None:
    assert route(mode, "POST", f"/ui/v3/{path}", [], HOST) is REST_PATHS[f"/v3/{path}"]


@pytest.mark.parametrize("path", sorted(WRITES))
def test_changing_is_allowed_in_one_mode_only(path: str) -> None:
    refused = route(READ_ONLY, "POST", f"/ui{path}", [], HOST)
    assert isinstance(refused, HttpReply)
    assert refused.status == 403
    assert b"read-only" in refused.body
    assert route(READ_WRITE, "POST", f"/ui{path}", [], HOST) is REST_PATHS[path]


def test_what_can_change_something_is_never_among_the_reads() -> None:
    """Every RPC of the gateway that is let through in the mode read-only, by name."""
    let_through = {
        path
        for path in REST_PATHS
        if not isinstance(route(READ_ONLY, "POST", f"/ui{path}", [], HOST), HttpReply)
    }
    assert let_through == {f"/v3/{path}" for path in (*READS, "maintenance/status")}


def test_what_the_page_never_needs_is_not_there() -> None:
    for path in ("/v3/auth/user/add", "/v3/cluster/member/remove", "/v3/nope", "/v3/"):
        found = route(READ_WRITE, "POST", f"/ui{path}", [], HOST)
        assert isinstance(found, HttpReply)
        assert found.status == 404


@pytest.mark.parametrize("target", ["/ui/%76%33/kv/put", "/ui/v3/kv/%70ut"])
def test_escapes_are_no_way_around(target: str) -> None:
    found = route(READ_ONLY, "POST", target, [], HOST)
    assert isinstance(found, HttpReply)
    assert found.status == 403


@pytest.mark.parametrize(
    ("verb", "target", "allowed"),
    [
        ("POST", "/ui", "GET, HEAD"),
        ("POST", "/ui/api/node", "GET, HEAD"),
        ("GET", "/ui/v3/kv/range", "POST"),
    ],
)
def test_verbs(verb: str, target: str, allowed: str) -> None:
    found = route(READ_ONLY, verb, target, [], HOST)
    assert isinstance(found, HttpReply)
    assert found.status == 405
    assert ("Allow", allowed) in found.headers


@pytest.mark.parametrize(
    "headers",
    [
        [(b"origin", b"http://evil.example")],
        [(b"origin", b"http://10.0.0.1:9999")],
        [(b"origin", b"null")],
        [(b"origin", b"http://[")],
        [(b"sec-fetch-site", b"cross-site")],
        [(b"sec-fetch-site", b"same-site"), (b"origin", b"http://10.0.0.1:2379")],
    ],
)
def test_pages_of_others_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    for verb, target in (("POST", "/ui/v3/kv/put"), ("GET", "/ui/api/node")):
        found = route(READ_WRITE, verb, target, headers, HOST)
        assert isinstance(found, HttpReply)
        assert found.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"origin", b"http://10.0.0.1:2379")],
        [(b"origin", b"https://10.0.0.1:2379")],
        [(b"sec-fetch-site", b"same-origin"), (b"origin", b"https://seen-from-outside")],
        [(b"sec-fetch-site", b"none")],
    ],
)
def test_the_page_itself_and_programs_are_served(headers: list[tuple[bytes, bytes]]) -> None:
    found = route(READ_WRITE, "POST", "/ui/v3/kv/put", headers, HOST)
    assert found is REST_PATHS["/v3/kv/put"]


def test_the_query_for_a_key() -> None:
    assert key_query("/ui/api/key?key=YQ==") == KeyQuery(b"a", 0, 100)
    assert key_query("/ui/api/key?key=-_8&before=7&limit=3") == KeyQuery(b"\xfb\xff", 7, 3)
    assert key_query("/ui/api/key?key=%2B/8=&limit=9999") == KeyQuery(b"\xfb\xff", 0, 100)


@pytest.mark.parametrize("query", ["", "key=!", "key=YQ&before=x", "key=YQ&limit="])
def test_wrong_queries_for_a_key(query: str) -> None:
    found = key_query(f"/ui/api/key?{query}")
    assert isinstance(found, HttpReply) == (query != "key=YQ&limit=")
