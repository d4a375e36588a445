"""The small parts of gRPC's wire format: messages, metadata, timeouts, status, heads."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.errors import Code
from triode.rpc.grpc.framing import Deframer, MessageFault, frame
from triode.rpc.grpc.heads import RequestParser
from triode.rpc.grpc.keepalive import KeepaliveEnforcer
from triode.rpc.grpc.metadata import decode_field, encode_metadata
from triode.rpc.grpc.responses import parse_response, read_status, reset_status
from triode.rpc.grpc.status import decode_message, encode_message
from triode.rpc.grpc.timeout import format_timeout, parse_timeout
from triode.rpc.h2.errors import ErrorCode, StreamFault
from triode.rpc.h2.hpack_tables import Field

HEAD: tuple[Field, ...] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"here:1"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
)


# --- messages ---------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 80))
def test_messages_survive_any_cut(messages: list[bytes], cut: int) -> None:
    data = b"".join(map(frame, messages))
    deframer = Deframer(1000)
    got = []
    for at in range(0, len(data), cut):
        got += deframer.feed(data[at : at + cut])
    assert got == messages
    assert deframer.pending_bytes == 0


def test_a_message_above_the_limit_is_refused_by_its_prefix() -> None:
    deframer = Deframer(10)
    assert deframer.feed(frame(bytes(10))) == [bytes(10)]
    with pytest.raises(MessageFault) as caught:
        deframer.feed(frame(bytes(11))[:5])
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.text == "grpc: received message larger than max (11 vs. 10)"


@pytest.mark.parametrize(
    ("flag", "encoding", "code", "text"),
    [
        (1, "", 13, "grpc: compressed flag set with identity or empty encoding"),
        (1, "identity", 13, "grpc: compressed flag set with identity or empty encoding"),
        (1, "gzip", 12, 'grpc: Decompressor is not installed for grpc-encoding "gzip"'),
        (2, "", 13, "grpc: received unexpected payload format 2"),
    ],
)
def test_flags_are_refused(flag: int, encoding: str, code: int, text: str) -> None:
    with pytest.raises(MessageFault) as caught:
        Deframer(10, encoding).feed(bytes((flag, 0, 0, 0, 0)))
    assert (caught.value.code, caught.value.text) == (code, text)


# --- metadata ---------------------------------------------------------------------------------


@given(st.binary(max_size=40))
def test_binary_metadata_with_and_without_padding(value: bytes) -> None:
    padded = base64.b64encode(value)
    assert decode_field(b"x-bin", padded) == [value]
    assert decode_field(b"x-bin", padded.rstrip(b"=")) == [value]
    ((_, wire),) = encode_metadata({"x-bin": value})
    assert decode_field(b"x-bin", wire) == [value]


def test_binary_metadata_joined_by_commas() -> None:
    assert decode_field(b"x-bin", b"AQ==,Ag, Aw") == [b"\1", b"\2", b"\3"]


@pytest.mark.parametrize("wrong", [b"*", b"A", b"A===", b"AA=A", b"AAAAA"])
def test_wrong_base64(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="malformed binary metadata"):
        decode_field(b"x-bin", wrong)


def test_text_that_is_not_utf8_can_be_told_apart() -> None:
    (value,) = decode_field(b"client-api-version", b"\xff3")
    assert isinstance(value, str)
    with pytest.raises(UnicodeEncodeError):
        value.encode()
    assert value.encode("utf-8", "surrogateescape") == b"\xff3"


def test_what_cannot_be_sent_is_refused_here() -> None:
    for wrong in ({"A": "x"}, {"a b": "x"}, {"te": "x"}, {"a": "ä"}, {"a": "x\n"}, {":path": "/"}):
        with pytest.raises(ValueError):
            encode_metadata(wrong)
    for mixed in ({"a-bin": "x"}, {"a": b"x"}):
        with pytest.raises(TypeError):
            encode_metadata(mixed)
    assert encode_metadata({"a": ""}) == ((b"a", b""),)


# --- timeouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "timeout_ns"),
    [(b"1n", 1), (b"2u", 2000), (b"3m", 3_000_000), (b"4S", 4 * 10**9), (b"99999999H", 2**63 - 1)],
)
def test_timeout_units(wire: bytes, timeout_ns: int) -> None:
    assert parse_timeout(wire) == timeout_ns


@pytest.mark.parametrize("wire", [b"", b"1", b"S", b"-1S", b"1s", b"123456789n", b"1 S", b"+1S"])
def test_wrong_timeouts(wire: bytes) -> None:
    with pytest.raises(ValueError):
        parse_timeout(wire)


@given(st.integers(-5, 2**62))
def test_a_timeout_is_never_shortened_and_hardly_lengthened(timeout_ns: int) -> None:
    wire = format_timeout(timeout_ns)
    assert len(wire) <= 9
    again = parse_timeout(wire)
    assert max(timeout_ns, 0) <= again <= max(timeout_ns, 0) * 1.0001 + 1


# --- status -----------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_status_text_round_trip(text: str) -> None:
    wire = encode_message(text)
    assert all(0x20 <= byte <= 0x7E for byte in wire)
    assert decode_message(wire) == text.encode("utf-8", "replace").decode()


def test_status_text_as_the_specification_writes_it() -> None:
    assert encode_message("a%b\n\u00e9") == b"a%25b%0A%C3%A9"
    assert decode_message(b"100%, %zz %C3%A9 %ff") == "100%, %zz \u00e9 \ufffd"
    assert len(encode_message("x" * 10**6)) == 8192


def test_trailers_without_a_sound_status() -> None:
    assert read_status(((b"x", b"y"),))[0] == Code.UNKNOWN
    assert read_status(((b"grpc-status", b"five"),))[0] == Code.UNKNOWN
    assert read_status(((b"grpc-status", b"5"), (b"grpc-message", b"a%20b")))[:2] == (5, "a b")


def test_resets_have_a_status() -> None:
    assert reset_status(ErrorCode.REFUSED_STREAM)[0] is Code.UNAVAILABLE
    assert reset_status(ErrorCode.CANCEL)[0] is Code.CANCELED
    assert reset_status(ErrorCode.ENHANCE_YOUR_CALM)[0] is Code.RESOURCE_EXHAUSTED
    assert reset_status(ErrorCode.PROTOCOL_ERROR)[0] is Code.INTERNAL
    assert reset_status(12345)[0] is Code.UNKNOWN


def test_answers_of_something_that_is_no_grpc_server() -> None:
    proxy = parse_response(((b":status", b"503"), (b"content-type", b"text/html")))
    assert proxy.fault is not None
    assert proxy.fault[0] is Code.UNAVAILABLE
    page = parse_response(((b":status", b"200"), (b"content-type", b"text/html")))
    assert page.fault is not None
    assert page.fault[0] is Code.UNKNOWN


# --- heads ------------------------------------------------------------------------------------


def test_a_varying_timeout_shares_everything_else() -> None:
    parse = RequestParser({"/a.B/C"})
    one = parse((*HEAD, (b"grpc-timeout", b"1S"), (b"token", b"t")))
    two = parse((*HEAD, (b"grpc-timeout", b"2S"), (b"token", b"t")))
    assert (one.timeout_ns, two.timeout_ns) == (10**9, 2 * 10**9)
    assert one.memo is two.memo
    assert one.metadata is two.metadata
    assert one.metadata == {"token": "t"}
    assert one.unary
    other = parse((*HEAD, (b"grpc-timeout", b"2S"), (b"token", b"u")))
    assert other.memo is not one.memo
    assert parse((*HEAD, (b"token", b"t"))).timeout_ns is None


def test_the_first_value_of_a_name_counts() -> None:
    head = RequestParser(set())((*HEAD, (b"token", b"one"), (b"token", b"two")))
    assert head.metadata["token"] == "one"
    assert [value for name, value in head.fields if name == b"token"] == [b"one", b"two"]


def test_heads_are_bounded() -> None:
    parse = RequestParser(set(), heads_max=5)
    for at in range(50):
        parse((*HEAD, (b"x", b"%d" % at)))
        assert len(parse._heads) <= 5


@pytest.mark.parametrize(
    ("change", "http_status", "text"),
    [
        ((b"content-type", b"text/plain"), 415, 'invalid gRPC request content-type "text/plain"'),
        ((b"content-type", b"application/grpcweb"), 415, "invalid gRPC request content-type"),
        ((b":method", b"GET"), 405, 'Received a HEADERS frame with :method "GET"'),
        ((b"grpc-timeout", b"1"), 400, "malformed grpc-timeout"),
        ((b"x-bin", b"*"), 400, "malformed binary metadata"),
    ],
)
def test_heads_that_are_refused(change: Field, http_status: int, text: str) -> None:
    fields = dict(HEAD) | dict([change])
    head = RequestParser({"/a.B/C"})(tuple(fields.items()))
    assert head.refusal is not None
    assert head.refusal.http_status == http_status
    assert head.refusal.text.startswith(text)
    assert not head.whole


@pytest.mark.parametrize("kind", [b"application/grpc+proto", b"application/grpc;charset=utf-8"])
def test_content_types_of_grpc(kind: bytes) -> None:
    fields = dict(HEAD) | {b"content-type": kind}
    assert RequestParser({"/a.B/C"})(tuple(fields.items())).refusal is None


def test_malformed_http_is_a_fault_of_the_stream() -> None:
    with pytest.raises(StreamFault):
        RequestParser(set())(HEAD[1:])


# --- keepalive --------------------------------------------------------------------------------


def test_the_third_early_ping_ends_the_connection() -> None:
    enforcer = KeepaliveEnforcer(5.0)
    times = [100.0, 101.0, 102.0, 103.0]
    verdicts = [enforcer.on_ping(now, streams=1, sent=False) for now in times]
    assert verdicts == [True, True, True, False]


def test_pings_in_good_time_never_do() -> None:
    enforcer = KeepaliveEnforcer(5.0)
    assert all(enforcer.on_ping(now * 5.0, streams=1, sent=False) for now in range(100))


def test_sending_forgives() -> None:
    enforcer = KeepaliveEnforcer(5.0)
    assert all(enforcer.on_ping(now * 0.1, streams=1, sent=now % 3 == 0) for now in range(100))


def test_without_calls_only_those_permitted_may_ping() -> None:
    strict = KeepaliveEnforcer(5.0)
    assert not all(strict.on_ping(now * 6.0, streams=0, sent=False) for now in range(4))
    lenient = KeepaliveEnforcer(5.0, permit_without_stream=True)
    assert all(lenient.on_ping(now * 6.0, streams=0, sent=False) for now in range(4))
