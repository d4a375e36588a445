"""RFC 9113, rule by rule: `rules.txt` holds the frames of a peer and all that goes out in answer."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from triode.rpc.h2 import PREFACE, Connection, ErrorCode, Limits, hpack_encoder
from triode.rpc.h2.events import ConnectionEnded

KINDS = (
    "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION"
)
NUMBERS = {name: at for at, name in enumerate(KINDS.split())}
FLAGS = {"A": 1, "E": 1, "H": 4, "P": 8, "R": 32}


def block(*fields: tuple[str, str]) -> bytes:
    return hpack_encoder.encode([(name.encode(), value.encode()) for name, value in fields])


POST = ((":method", "POST"), (":scheme", "http"))
BLOCKS = {
    "request": block(*POST, (":path", "/a.B/C"), (":authority", "here")),
    "pathless": block(*POST),
    "emptypath": block(*POST, (":path", "")),
    "length4": block(*POST, (":path", "/"), ("content-length", "4")),
    "length-x": block(*POST, (":path", "/"), ("content-length", "+4")),
    "response": block((":status", "200")),
    "interim": block((":status", "103")),
    "badstatus": block((":status", "20")),
    "trailers": block(("grpc-status", "0")),
    "upper": block(("X-Upper", "1")),
    "colon": block(("x:y", "1")),
    "nameless": block(("", "1")),
    "linebreak": block(("x", "a\r\nb: c")),
    "blank": block(("x", " a")),
    "connection": block(("connection", "close")),
    "te": block(("te", "trailers")),
    "te-gzip": block(("te", "gzip")),
    "pseudo": block((":what", "1")),
    "long": block(("x", "\x7f" * 600)),
    "insert": b"\x40\x01x\x7f\xe1\x01" + b"y" * 352,
}


def payload(text: str) -> bytes:
    out = b""
    for piece in re.findall(r'"[^"]*"|[^+]+', text):
        if piece == "-":
            continue
        if piece.startswith('"'):
            out += piece.strip('"').encode()
        elif piece in BLOCKS:
            out += BLOCKS[piece]
        elif match := re.fullmatch(r"(\d+)x(..)", piece):
            out += bytes.fromhex(match[2]) * int(match[1])
        else:
            out += bytes.fromhex(piece)
    return out


def frame(line: str, wire: Any) -> bytes:
    kind, flags, stream_id, data = line.split(" ", 3)
    number = NUMBERS[kind] if kind in NUMBERS else int(kind, 16)
    bits = sum(FLAGS[letter] for letter in flags.strip("-")) if flags.isupper() else 0
    if not flags.isupper() and flags != "-":
        bits = int(flags, 16)
    built: bytes = wire.frame(number, bits, int(stream_id, 0), payload(data))
    return built


def shown(kind: int, flags: int, stream_id: int, data: bytes) -> str:
    """A frame of ours as `rules.txt` writes it."""
    name = KINDS.split()[kind]
    if name == "GOAWAY":
        code = ErrorCode(int.from_bytes(data[4:8], "big"))
        return f"GOAWAY {int.from_bytes(data[:4], 'big')} {code.name}"
    if name == "RST_STREAM":
        return f"RST_STREAM {stream_id} {ErrorCode(int.from_bytes(data, 'big')).name}"
    if name == "WINDOW_UPDATE":
        return f"WINDOW_UPDATE {stream_id} {int.from_bytes(data, 'big')}"
    return f"{name} {'A' if flags & 1 else '-'} {stream_id} {data.hex() or '-'}"


def cases() -> list[tuple[str, list[str], list[str]]]:
    text = (pathlib.Path(__file__).parent / "rules.txt").read_text()
    found = []
    for part in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        title, *lines = [line for line in part.splitlines() if line]
        sent = [line for line in lines if not line.startswith("->")]
        expected = [line[3:] for line in lines if line.startswith("->")]
        found.append((title, sent, [line for line in expected if line != "nothing"]))
    return found


@pytest.mark.parametrize(
    ("title", "sent", "expected"), cases(), ids=[title for title, _, _ in cases()]
)
@pytest.mark.parametrize("by_byte", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("whole", [False, True], ids=["pieces", "whole"])
def test_rule(
    title: str,
    sent: list[str],
    expected: list[str],
    by_byte: bool,
    whole: bool,
    wire: Any,
    make_server: Callable[..., Connection],
    make_client: Callable[..., Connection],
) -> None:
    limits = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", title)}
    if "(client)" in title:
        conn = make_client(**limits)
        conn.open_stream(wire.block, end_stream=True)
    elif "(raw)" in title:
        conn = Connection(limits=Limits(**limits))
        conn.receive(PREFACE)
    else:
        conn = make_server(whole=whole, **limits)
    conn.data_to_send()
    data = b"".join(frame(line, wire) for line in sent)
    pieces = [data[at : at + 1] for at in range(len(data))] if by_byte else [data]
    events = [event for piece in pieces for event in conn.receive(piece)]
    got = [shown(*parts) for parts in wire.split(conn.data_to_send())]
    assert got == expected
    fatal = any(line.startswith("GOAWAY") for line in expected)
    assert conn.closed == fatal
    assert bool(events and isinstance(events[-1], ConnectionEnded)) == fatal
    if fatal:
        assert conn.receive(b"anything") == []
        assert conn.data_to_send() == b""
        assert not conn.streams


def test_a_connection_that_is_not_http2(wire: Any) -> None:
    conn = Connection()
    conn.data_to_send()
    (event,) = conn.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(event, ConnectionEnded)
    assert [shown(*parts) for parts in wire.split(conn.data_to_send())] == [
        "GOAWAY 0 PROTOCOL_ERROR"
    ]
