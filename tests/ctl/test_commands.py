"""The commands about keys and leases, against Triode and against etcd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Ctl = Callable[..., Any]


@pytest.fixture
def filled(ctl: Ctl) -> Ctl:
    """With the keys k1, k2, k3 and nothing else that begins with k."""
    ctl("del", "--prefix", "k")
    for number in "123":
        ctl("put", f"k{number}", number)
    return ctl


def keys(done: Any) -> list[str]:
    assert done.code == 0, done.err
    found: list[str] = done.text.split("\n")[:-1:2]
    return found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("k1", "k1"),
        ("k1 k3", "k1 k2"),
        ("--prefix k", "k1 k2 k3"),
        ("--prefix k --limit 2", "k1 k2"),
        ("--from-key k2 --limit 2", "k2 k3"),
        ("--prefix k --order DESCEND", "k3 k2 k1"),
        ("--prefix k --sort-by value --order descend", "k3 k2 k1"),
        ("--prefix k --sort-by CREATE", "k1 k2 k3"),
        ("--prefix k --consistency s", "k1 k2 k3"),
        ("k4", ""),
    ],
)
def test_get(filled: Ctl, line: str, found: str) -> None:
    assert keys(filled("get", *line.split())) == found.split()


def test_get_by_revisions(filled: Ctl) -> None:
    first = int(filled("get", "k1", "-w", "fields").text.split('"ModRevision" : ')[1].split()[0])
    assert keys(filled("get", "--prefix", "k", "--rev", str(first + 1))) == ["k1", "k2"]
    assert keys(filled("get", "--prefix", "k", "--min-mod-rev", str(first + 1))) == ["k2", "k3"]
    assert keys(filled("get", "--prefix", "k", "--max-create-rev", str(first))) == ["k1"]


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("get k --order up", 4, "bad sort order up"),
        ("get k --sort-by size", 4, "bad sort target size"),
        ("get k --consistency x", 4, 'unknown consistency flag "x"'),
        ("get k --min-mod-rev 3 --max-mod-rev 2", 4, "getMinModRev(=3) > getMaxModRev(=2)"),
        ("get k --count-only", 128, "--count-only is only for `--write-out=fields`"),
        ("get k --print-value-only -w json", 128, "print-value-only is only for `--write-out=simple`"),
        ("get k --rev 1000000", 1, "etcdserver: mvcc: required revision is a future revision"),
        ("put k x --lease zz", 128, 'bad lease ID (strconv.ParseInt: parsing "zz": invalid syntax), expecting ID in Hex'),
        ("put k x --lease 1", 1, "etcdserver: requested lease not found"),
        ("put k x --ignore-value", 128, "put command needs only 1 argument when 'ignore-value' is set"),
        ("lease revoke 1", 1, "failed to revoke lease (etcdserver: requested lease not found)"),
        ("lease keep-alive --once 1", 2, "etcdserver: requested lease not found"),
        ("compaction x", 1, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("compaction 1000000", 1, "etcdserver: mvcc: required revision is a future revision"),
        ("watch k --rev -1", 128, "the revision is negative: -1"),
    ],
)  # fmt: skip
def test_refusals(ctl: Ctl, line: str, code: int, error: str) -> None:
    done = ctl(*line.split())
    assert (done.code, done.out, done.errors) == (code, b"", [f"Error: {error}"])


def test_put_and_delete(filled: Ctl) -> None:
    assert filled("put", "k1", "new", "--prev-kv").text == "OK\nk1\n1\n"
    assert filled("put", "k1", "--ignore-value", "--prev-kv").text == "OK\nk1\nnew\n"
    assert filled("put", "k1", stdin=b"from\nstdin").text == "OK\n"
    assert filled("get", "k1", "--print-value-only").text == "from\nstdin\n"
    assert filled("put", "k1", "--", "-v").text == "OK\n"
    assert filled("del", "k1", "--prev-kv").text == "1\nk1\n-v\n"
    assert filled("del", "--range", "k2", "k3").text == "1\n"
    assert filled("del", "--prefix", "k").text == "1\n"
    assert filled("del", "k1").text == "0\n"


def test_a_range_is_deleted_after_a_warning(filled: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("triode.cli.ctl.commands.delete.time.sleep", slept.append)
    done = filled("del", "k1", "k3")
    assert (done.text, slept) == ("2\n", [2.0])
    assert "\n".join(done.errors) == (
        'Warning: Keys between "k1" and "k3" will be deleted. Please interrupt the command within'
        " next 2 seconds to cancel. You can provide `--range` flag to avoid the delay."
    )


def test_bytes_go_in_and_come_out(ctl: Ctl) -> None:
    value = bytes(range(256)) * 10
    key = b"\xff\xfe\x01".decode("utf-8", "surrogateescape")
    assert ctl("put", key, stdin=value).code == 0
    assert ctl("get", key).out == b"\xff\xfe\x01\n" + value + b"\n"
    assert ctl("del", key).text == "1\n"


def test_large_values(ctl: Ctl) -> None:
    value = b"x" * 1_400_000
    assert ctl("put", "large", stdin=value).code == 0
    assert ctl("get", "large", "--print-value-only").out == value + b"\n"
    too_large = ctl("put", "large", stdin=value + value)
    assert too_large.code == 1
    assert too_large.errors[-1].startswith(
        "Error: rpc error: code = ResourceExhausted desc = trying to send message larger than max"
    )
    refused = ctl("put", "large", stdin=b"x" * 1_900_000)
    assert refused.errors == ["Error: etcdserver: request is too large"]
    assert ctl("del", "large").text == "1\n"


def test_transactions(filled: Ctl) -> None:
    done = filled(
        "txn", stdin=b'val("k1") = "1"\nver("k4") = "0"\n\nput k4 "a\\tb"\nget k4\n\nget k2\n\n'
    )
    assert done.text == "SUCCESS\n\nOK\n\nk4\na\tb\n"
    done = filled("txn", stdin=b'create("k4") = "0"\n\nput k4 1\n\nget k2\ndel k4 --prev-kv\n\n')
    assert done.text == "FAILURE\n\nk2\n2\n\n1\nk4\na\tb\n"
    done = filled("txn", "-i", stdin=b"\n\n\n")
    assert done.text == (
        "compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\nSUCCESS\n"
    )


def test_a_lease_is_compared(filled: Ctl) -> None:
    """etcdctl itself panics at these."""
    lease = filled("lease", "grant", "60").text.split()[1]
    filled("put", "k1", "1", "--lease", lease)
    assert filled("txn", stdin=f'lease("k1") = "{lease}"\n\n\n\n'.encode()).text == "SUCCESS\n"
    assert filled("txn", stdin=b'lease("k2") != "0"\n\n\n\n').text == "FAILURE\n"
    filled("lease", "revoke", lease)


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        ("mod", 3, "malformed comparison: mod"),
        ('mod(a) > "0"', 3, 'malformed comparison: mod(a) > "0"; got mod("")  ""'),
        ('mod("a" > "0"', 3, 'malformed comparison: mod("a" > "0"; got mod("a")  ""'),
        ('mod("a") >', 3, 'malformed comparison: mod("a") >; got mod("a") > ""'),
        ('foo("a") = "0"', 3, 'malformed comparison: foo("a") = "0" (unknown target foo)'),
        ('mod("a") >= "0"', 3, 'malformed comparison: mod("a") >= "0" (unknown operator >=)'),
        ('mod("a") = "x"', 3, 'invalid txn compare request: mod("a") = "x"'),
        ("\nfoo a", 3, "invalid txn request: foo a"),
        ("\nget", 3, "invalid txn compare request: get"),
        ("\nget a --foo", 3, "invalid txn request: get a --foo"),
        ("\nget a --order up", 4, "bad sort order up"),
        ("\nput a", 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        ('\nput a "\\q"', 3, None),
    ],
)  # fmt: skip
def test_malformed_transactions(here: Ctl, text: str, code: int, error: str | None) -> None:
    """They are refused before anybody is asked."""
    done = here("txn", "--endpoints", "127.0.0.1:1", stdin=f"{text}\n\n\n\n".encode())
    assert done.code == code
    assert done.out == b""
    if error is not None:
        assert done.errors == [f"Error: {error}"]


def test_an_unfinished_transaction(here: Ctl) -> None:
    for text in (b"", b'mod("a") > "0"', b"\n\nget a\n"):
        done = here("txn", stdin=text)
        assert (done.code, done.errors) == (3, ["Error: EOF"])


def test_leases(filled: Ctl) -> None:
    lease = filled("lease", "grant", "100").text.split()[1]
    assert filled("put", "k1", "1", "--lease", lease).code == 0
    text = filled("lease", "timetolive", lease, "--keys").text
    assert text.startswith(f"lease {lease} granted with TTL(100s), remaining(")
    assert text.endswith("), attached keys([k1])\n")
    assert lease in filled("lease", "list").text.splitlines()
    renewed = filled("lease", "keep-alive", "--once", lease)
    assert renewed.text == f"lease {lease} keepalived with TTL(100)\n"
    assert filled("lease", "revoke", lease).text == f"lease {lease} revoked\n"
    assert filled("lease", "timetolive", lease).text == f"lease {lease} already expired\n"
    assert filled("lease", "keep-alive", lease).text == f"lease {lease} expired or revoked.\n"
    assert keys(filled("get", "k1")) == []


def test_a_lease_is_kept_alive_until_it_is_gone(ctl: Ctl, triodectl: Ctl, server: Any) -> None:
    import threading

    lease = ctl("lease", "grant", "1").text.split()[1]
    ended: list[Any] = []
    command = ("lease", "keep-alive", lease, "--endpoints", server.address)
    thread = threading.Thread(target=lambda: ended.append(triodectl(*command)))
    thread.start()
    thread.join(3)  # longer than it lives by itself
    assert thread.is_alive()
    assert ctl("lease", "revoke", lease).code == 0
    thread.join()
    lines = ended[0].text.splitlines()
    assert len(lines) >= 3
    assert lines[-1] == f"lease {lease} expired or revoked."


def test_compaction(filled: Ctl) -> None:
    revision = filled("get", "k1", "-w", "json").text.split('"revision":')[1].split(",")[0]
    assert filled("compaction", "--physical", revision).text == f"compacted revision {revision}\n"
    again = filled("compaction", revision)
    assert again.errors == ["Error: etcdserver: mvcc: required revision has been compacted"]
    watched = filled("watch", "k1", "--rev", "1", "-w", "json")
    assert watched.code == 5
    assert watched.errors == [
        "watch was canceled (etcdserver: mvcc: required revision has been compacted)",
        "Error: watch is canceled by the server",
    ]
    assert f'"CompactRevision":{revision},"Canceled":true,"Created":false}}' in watched.text
