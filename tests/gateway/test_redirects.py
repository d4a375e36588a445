"""Where paths that are not clean lead to; the expected values are what etcd 3.5.1 was seen to answer."""

from __future__ import annotations

import pytest

from triode.rpc.redirects import redirect


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("//v3/kv/range", "/v3/kv/range"),
        ("/v3//kv/range?a=b", "/v3/kv/range?a=b"),
        ("/v3/../v3/kv/range", "/v3/kv/range"),
        ("/v3/./kv/range/", "/v3/kv/range/"),
        ("/v3/kv/range//", "/v3/kv/range/"),
        ("//health?exclude=NOSPACE&b", "/health?exclude=NOSPACE&b"),
        ("//nothing", "/nothing"),
        ("//v3beta/kv/range", "/v3beta/kv/range"),
        ("/%2Fv3/kv/range", "/v3/kv/range"),
        ('//v3/k%20v/%C3%A9;a?x=%20"<>', '/v3/k%20v/%C3%A9;a?x=%20"<>'),
        ("/v3/a%3Fb//c#d", "/v3/a%3Fb/c%23d"),
        ("/./v3/a%2Fb/..", "/v3/a"),
        ("//a:b/c", "/a:b/c"),
        ("/..", "/"),
        ("///", "/"),
    ],
)
def test_where_they_lead(target: str, location: str) -> None:
    for verb in ("GET", "POST", "PUT", "HEAD"):
        reply = redirect(verb, target)
        assert reply is not None
        assert reply.status == 301
        assert dict(reply.headers)["Location"] == location
        assert (b"Moved Permanently" in reply.body) is (verb in ("GET", "HEAD"))


def test_the_page_for_people() -> None:
    """Of GET only, and nothing in it is taken for HTML."""
    reply = redirect("GET", "//health?exclude=NOSPACE&b='\"<>")
    assert reply is not None
    assert reply.body == (
        b'<a href="/health?exclude=NOSPACE&amp;b=&#39;&#34;&lt;&gt;">Moved Permanently</a>.\n\n'
    )
    assert ("Content-Type", "text/html; charset=utf-8") in reply.headers
    assert redirect("POST", "//health") == (301, [("Location", "/health")], b"")


@pytest.mark.parametrize("target", ["/", "/health", "/health/", "/v3/kv/range?x=//y", "*", "x:1"])
def test_clean_paths(target: str) -> None:
    assert redirect("GET", target) is None


def test_a_tunnel_is_not_redirected() -> None:
    assert redirect("CONNECT", "//v3/kv/range") is None
