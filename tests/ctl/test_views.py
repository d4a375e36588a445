"""What responses look like: held byte for byte against the real etcdctl, at the same server.

Where 3.6 differs from 3.5.1 (`--hex` in fields; a newer Go quotes DEL as \\x7f), the expectation is written down.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from triode.cli.common.exits import Failure
from triode.cli.common.output import Output
from triode.cli.ctl.gojson import dumps, message_json
from triode.cli.ctl.view import View, show
from triode.rpc.pb.kv_pb2 import KeyValue
from triode.rpc.pb.rpc_pb2 import (
    Compare,
    Member,
    MemberListResponse,
    PutResponse,
    ResponseHeader,
    ResponseOp,
    TxnResponse,
)

FORMATS = ("simple", "fields", "json", "protobuf", "table")
LEFT = re.compile(rb"(?<!\d)99[5-9]\d\d(?!\d)")  # what is left of 100 000 seconds
READS = (
    "get v/ --prefix",
    "get v/ --prefix --hex",
    "get v/ --prefix --keys-only",
    "get v/ --prefix --print-value-only",
    "get v/ --prefix --count-only",
    "get v/ --prefix --limit 1",
    "get v/none",
    "lease timetolive 7b",
    "lease timetolive 7b --keys",
    "lease timetolive 1",
    "lease list",
    "lease keep-alive --once 7b",
    "lease keep-alive --once 1",
    "lease revoke 1",
)


@pytest.fixture(scope="module")
def filled(etcd: Any) -> Any:
    """A server with keys of all sorts and a lease of a known ID."""
    from triode.client.sync import connect_sync
    from triode.rpc.pb.rpc_pb2 import LeaseGrantRequest

    with connect_sync(etcd.address) as client:
        client.call("Lease/LeaseGrant", LeaseGrantRequest(ID=0x7B, TTL=100_000))
        client.put(b"v/a", b"1")
        client.put(b"v/b", 'quotes " and <html> & ünïcode\n'.encode())
        client.put(b"v/\xff\x00", bytes(range(127)) + bytes(range(128, 256)))
        client.put(b"v/lease", b"", lease=0x7B)
    return etcd


@pytest.mark.etcd
@pytest.mark.parametrize("line", READS)
def test_as_etcdctl(
    filled: Any, here: Callable[..., Any], etcdctl: Callable[..., Any], line: str
) -> None:
    for form in FORMATS:
        if "--hex" in line and form == "fields":
            continue  # 3.6 shows IDs in hexadecimal there
        words = ["--endpoints", filled.address, "-w", form, *line.split()]
        ours, theirs = here(*words), etcdctl(*words)
        if line == "lease revoke 1" and form == "protobuf":
            assert ours.code == theirs.code == 1
            continue
        assert (ours.code, ours.errors) == (theirs.code, theirs.errors), form
        assert LEFT.sub(b"99999", ours.out) == LEFT.sub(b"99999", theirs.out), form


@pytest.mark.etcd
def test_writes_as_etcdctl(
    filled: Any, here: Callable[..., Any], etcdctl: Callable[..., Any]
) -> None:
    """Each begins with the same value; revisions differ, so of fields the names are held."""
    txn = b'val("v/x") = "2"\n\nget v/x\nput v/y 1\ndel v/x --prev-kv\n\nput v/x 0\n\n'
    endpoint = ["--endpoints", filled.address]

    def answer(run: Callable[..., Any], words: list[str], stdin: bytes) -> Any:
        here(*endpoint, "put", "v/x", "2")
        return run(*endpoint, *words, stdin=stdin)

    for words, stdin in (
        (["put", "v/x", "1"], b""),
        (["put", "v/x", "--prev-kv", "2"], b""),
        (["put", "v/x", "--prev-kv"], b"2"),
        (["txn"], txn),
        (["txn", "--hex"], txn),
        (["del", "v/x", "--prev-kv"], b""),
        (["put", "v/x", "1", "--lease", "99"], b""),
        (["txn"], b"\nput d 1\nput d 2\n\n\n"),
    ):
        ours, theirs = (answer(run, words, stdin) for run in (here, etcdctl))
        assert (ours.code, ours.out, ours.errors) == (theirs.code, theirs.out, theirs.errors)
        shapes = [
            [line.split(" : ")[0] for line in done.text.splitlines()]
            for done in (answer(run, [*words, "-w", "fields"], stdin) for run in (here, etcdctl))
        ]
        assert shapes[0] == shapes[1], words


@pytest.mark.etcd
def test_what_cannot_be_encoded(
    filled: Any, here: Callable[..., Any], etcdctl: Callable[..., Any]
) -> None:
    """A revocation has no protobuf: the exit code says so, after it has been done."""
    endpoint = ["--endpoints", filled.address]
    said = []
    for run in (here, etcdctl):
        lease = here(*endpoint, "lease", "grant", "100").text.split()[1]
        done = run(*endpoint, "lease", "revoke", lease, "-w", "protobuf")
        assert (done.code, done.out) == (4, b"")
        said.append(done.errors)
    assert said[0] == said[1]


def test_hexadecimal_fields(ctl: Callable[..., Any]) -> None:
    lease = ctl("lease", "grant", "100").text.split()[1]
    ctl("put", "hex", "1", "--lease", lease)
    lines = dict(
        line.split(" : ") for line in ctl("get", "hex", "--hex", "-w", "fields").text.splitlines()
    )
    assert lines['"Lease"'] == lease
    assert int(lines['"ClusterID"'], 16) > 0
    assert ctl("get", "hex", "--hex").text == "\\x68\\x65\\x78\n\\x31\n"


def test_json_is_that_of_go() -> None:
    header = ResponseHeader(cluster_id=2**63 + 1, revision=5)
    put = PutResponse(header=header, prev_kv=KeyValue(key=b"k", value=b"<&>", lease=-1))
    assert message_json(put) == (
        '{"header":{"cluster_id":9223372036854775809,"revision":5},'
        '"prev_kv":{"key":"aw==","value":"PCY+","lease":-1}}'
    )
    assert message_json(PutResponse(header=ResponseHeader())) == '{"header":{}}'
    members = MemberListResponse(members=[Member(ID=1, name="<a&>\u2028", peerURLs=["p"])])
    assert message_json(members) == (
        '{"members":[{"ID":1,"name":"\\u003ca\\u0026\\u003e\\u2028","peerURLs":["p"]}]}'
    )


def test_json_of_choices() -> None:
    """A oneof is an object under its Go name; what is zero is left out in it, too."""
    txn = TxnResponse(responses=[ResponseOp(response_put=PutResponse()), ResponseOp()])
    assert message_json(txn) == (
        '{"responses":[{"Response":{"response_put":{}}},{"Response":null}]}'
    )
    assert message_json(Compare(version=0, key=b"a")) == '{"key":"YQ==","TargetUnion":{}}'
    assert message_json(Compare(version=2, target=Compare.MOD)) == (
        '{"target":2,"TargetUnion":{"version":2}}'
    )


def test_what_json_cannot_show_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        dumps({"a": object()})


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_that_a_view_lacks(form: str) -> None:
    import io

    with pytest.raises(Failure, match=f"^{form} not supported as output format$") as caught:
        show(View(), form, Output(io.BytesIO()), hex=False)
    assert caught.value.code == 4


def test_unknown_formats(here: Callable[..., Any]) -> None:
    done = here("get", "a", "-w", "xml")
    assert (done.code, done.out, done.errors) == (4, b"", ["Error: unsupported output format"])


def test_colours_are_for_people(server: Any, here: Callable[..., Any]) -> None:
    endpoint = ["--endpoints", server.address]
    assert here(*endpoint, "put", "colour", "1").out == b"OK\n"
    assert here(*endpoint, "get", "colour", colours=True).out == b"\x1b[36mcolour\x1b[0m\n1\n"
    assert here(*endpoint, "get", "colour").out == b"colour\n1\n"
