"""Telling HTTP/2 from HTTP/1.1 by the first bytes, and the connection's opening and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from triode.rpc.h2 import PREFACE, Connection, ErrorCode, Limits, looks_like_http2
from triode.rpc.h2.events import GoawayReceived, PingAcked, SettingsReceived


@pytest.mark.parametrize(
    ("first_bytes", "answer"),
    [
        (b"", None),
        (b"P", None),
        (PREFACE[:-1], None),
        (PREFACE, True),
        (PREFACE + b"more", True),
        (b"POST / HTTP/1.1\r\n", False),
        (b"PUT", False),
        (b"PRI * HTTP/2.0\r\n\r\nXX", False),
        (b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n", False),
        (b"\x16\x03\x01", False),
    ],
)
def test_looks_like_http2(first_bytes: bytes, answer: bool | None) -> None:
    assert looks_like_http2(first_bytes) is answer


def test_both_sides_open_with_their_settings(wire: Any) -> None:
    limits = Limits(concurrent_streams_max=7, stream_window_bytes=65535, header_list_bytes_max=99)
    server, client = Connection(limits=limits), Connection(client=True, limits=limits)
    assert wire.split(server.data_to_send())[0] == (
        4,
        0,
        0,
        bytes.fromhex("0003000000070006 00000063"),
    )
    opening = client.data_to_send()
    assert opening.startswith(PREFACE)
    assert wire.split(opening)[0] == (4, 0, 0, bytes.fromhex("0006000000630002 00000000"))
    assert server.receive(opening) == [SettingsReceived()]
    assert server.data_to_send() == wire.frame(4, 1, 0)


def test_settings_of_the_peer_are_kept(wire: Any, make_client: Callable[..., Connection]) -> None:
    client = make_client()
    client.receive(wire.frame(4, 0, 0, bytes.fromhex("000300000005000600001000000500004001")))
    assert client.peer.concurrent_streams_max == 5
    assert client.peer.header_list_bytes_max == 4096
    assert client.peer.frame_bytes_max == 16385


def test_pings_come_back(make_client: Callable[..., Connection]) -> None:
    client = make_client()
    client.ping(b"abcdefgh")
    ping = client.data_to_send()
    assert client.receive(ping[:4] + b"\1" + ping[5:]) == [PingAcked(b"abcdefgh")]


def test_goaway_of_a_server(make_client: Callable[..., Connection], wire: Any) -> None:
    client = make_client()
    client.open_stream(wire.block, end_stream=True)
    events = client.receive(wire.frame(7, 0, 0, bytes((0, 0, 0, 1, 0, 0, 0, 11)) + b"why"))
    assert events == [GoawayReceived(1, ErrorCode.ENHANCE_YOUR_CALM, b"why")]
    assert client.draining
    assert not client.closed
    assert len(client.streams) == 1


def test_graceful_end_of_a_server(wire: Any, make_server: Callable[..., Connection]) -> None:
    """Two GOAWAYs: streams that the client opens before it answers the PING are still served."""
    server = make_server()
    server.receive(wire.frame(1, 5, 1, wire.block))
    server.shutdown()
    server.shutdown()
    (goaway, ping) = wire.split(server.data_to_send())
    assert goaway[3] == b"\x7f\xff\xff\xff" + bytes(4) + b"graceful_stop"
    assert len(server.receive(wire.frame(1, 5, 3, wire.block))) == 1
    server.receive(wire.frame(6, 1, 0, ping[3]))
    assert wire.split(server.data_to_send()) == [(7, 0, 0, bytes((0, 0, 0, 3)) + bytes(4))]
    assert server.receive(wire.frame(1, 5, 5, wire.block)) == []
    assert sorted(server.streams) == [1, 3]
    for stream_id in (1, 3):
        server.send_headers(stream_id, b"\x88", end_stream=True)
    steps = [server.idle, bool(server.data_to_send()), server.idle, server.closed]
    assert steps == [False, True, True, False]
