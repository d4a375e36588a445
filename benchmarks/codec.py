"""What the wire costs: microseconds per call in the HTTP/2 and gRPC codec, without any socket.

Each row is the best of several rounds over buffers of 64 KiB, the size of one read.

    python -m benchmarks.codec [--quick]
"""

from __future__ import annotations

import argparse
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

from triode.rpc.grpc import GrpcClient, GrpcServer, Request
from triode.rpc.grpc.framing import frame
from triode.rpc.h2 import PREFACE, hpack_encoder
from triode.rpc.h2.frames import pack_head
from triode.rpc.h2.hpack_decoder import HpackDecoder
from triode.rpc.h2.hpack_tables import STATIC_FIELD, STATIC_NAME

PATH = "/etcdserverpb.KV/Put"
MESSAGE = b"\x0a\x08bench-ky\x12\x80\x02" + b"v" * 256
ANSWER = bytes(30)
BUFFER_BYTES = 64 << 10
FIELDS = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PATH.encode()),
    (b":authority", b"127.0.0.1:2379"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-go/1.71.0"),
    (b"te", b"trailers"),
)
OPENING = PREFACE + pack_head(4, 0, 0)


class GoEncoder:
    """Encodes request heads as Go's client does: each field, the timeout too, enters the table."""

    def __init__(self) -> None:
        self._table: list[tuple[bytes, bytes]] = []
        self._used = 0

    def encode(self, fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
        out = b""
        for field in fields:
            if field in STATIC_FIELD:
                out += hpack_encoder.integer(STATIC_FIELD[field], 7, 0x80)
            elif field in self._table:
                index = 62 + len(self._table) - 1 - self._table.index(field)
                out += hpack_encoder.integer(index, 7, 0x80)
            else:
                # A literal as the plain encoder writes it, but with "incremental indexing".
                plain = hpack_encoder.encode((field,))
                name = STATIC_NAME.get(field[0], 0)
                if not name:
                    names = [entry[0] for entry in self._table]
                    if field[0] in names:
                        name = 62 + names[::-1].index(field[0])
                        plain = hpack_encoder.encode(((b":path", field[1]),))[1:]
                    else:
                        plain = plain[1:]
                else:
                    plain = plain[len(hpack_encoder.integer(name, 4, 0)) :]
                out += hpack_encoder.integer(name, 6, 0x40) + plain
                self._insert(field)
        return out

    def _insert(self, field: tuple[bytes, bytes]) -> None:
        self._table.append(field)
        self._used += len(field[0]) + len(field[1]) + 32
        while self._used > 4096:
            name, value = self._table.pop(0)
            self._used -= len(name) + len(value) + 32


def go_blocks(count: int) -> list[bytes]:
    """Request heads that differ in their timeout only."""
    encoder = GoEncoder()
    return [
        encoder.encode((*FIELDS, (b"grpc-timeout", b"%du" % (4_999_000 - 37 * at))))
        for at in range(count)
    ]


def request(stream_id: int, block: bytes) -> tuple[bytes, bytes]:
    body = frame(MESSAGE)
    head = pack_head(len(block) << 8 | 1, 4, stream_id) + block
    return head, pack_head(len(body) << 8, 1, stream_id) + body


def pieces(data: bytes) -> list[bytes]:
    return [data[at : at + BUFFER_BYTES] for at in range(0, len(data), BUFFER_BYTES)]


def repeated(count: int) -> Iterator[tuple[bytes, bytes]]:
    block = hpack_encoder.encode(FIELDS)
    return (request(2 * at + 1, block) for at in range(count))


def varying(count: int) -> Iterator[tuple[bytes, bytes]]:
    return (request(2 * at + 1, block) for at, block in enumerate(go_blocks(count)))


def together(requests: Iterator[tuple[bytes, bytes]]) -> bytes:
    return b"".join(head + body for head, body in requests)


def apart(requests: Iterator[tuple[bytes, bytes]], group: int = 100) -> bytes:
    """Heads of a group first, then the bodies, as h2load with many streams sends them."""
    both = list(requests)
    out = b""
    for at in range(0, len(both), group):
        part = both[at : at + group]
        out += b"".join(head for head, _ in part) + b"".join(body for _, body in part)
    return out


def serve(buffers: list[bytes], *, answer: bool) -> GrpcServer:
    server = GrpcServer(is_unary={PATH})
    server.receive(OPENING)
    respond = server.respond
    for data in buffers:
        for event in server.receive(data):
            if answer and type(event) is Request:
                respond(event.stream_id, ANSWER)
        server.data_to_send()
        # The client's credit, which a socket would bring.
        server.connection.outbox.window = 1 << 30
    assert not server.closed
    return server


def answers(count: int) -> tuple[list[bytes], list[bytes]]:
    """Request and response bytes of `count` calls."""
    client, server = GrpcClient(authority="127.0.0.1:2379"), GrpcServer(is_unary={PATH})
    up, down = [], []
    for _ in range(2):
        server.receive(client.data_to_send())
        client.receive(server.data_to_send())
    for _ in range(0, count, 100):
        for _ in range(100):
            client.call(PATH, MESSAGE)
        up.append(client.data_to_send())
        for event in server.receive(up[-1]):
            if isinstance(event, Request):
                server.respond(event.stream_id, ANSWER)
        down.append(server.data_to_send())
        client.receive(down[-1])
    return up, down


def call_all(down: list[bytes]) -> None:
    client = GrpcClient(authority="127.0.0.1:2379")
    client.receive(pack_head(4, 0, 0))
    for data in down:
        for _ in range(100):
            client.call(PATH, MESSAGE)
        client.data_to_send()
        client.receive(data)
        client.connection.outbox.window = 1 << 30


def fan_out(streams: int, rounds: int) -> None:
    """One event to many watch streams."""
    server = GrpcServer(is_unary=set())
    server.receive(OPENING + pack_head(6 << 8 | 4, 0, 0) + bytes.fromhex("00047fffffff"))
    server.receive(together((head, b"") for head, _ in repeated(streams)))
    ids = list(server.connection.streams)
    for _ in range(rounds):
        server.connection.outbox.window = 1 << 30
        for stream_id in ids:
            server.send_message(stream_id, MESSAGE)
        server.data_to_send()


def rows(count: int) -> list[tuple[str, int, Callable[[], Any]]]:
    same, mixed, go = together(repeated(count)), apart(repeated(count)), together(varying(count))
    blocks = go_blocks(count)
    down = answers(count)[1]

    def decode() -> None:
        decoder = HpackDecoder()
        for block in blocks:
            decoder.decode(block)

    return [
        ("receive: repeated header block", count, lambda: serve(pieces(same), answer=False)),
        ("receive: heads first, then bodies", count, lambda: serve(pieces(mixed), answer=False)),
        ("receive: Go's varying grpc-timeout", count, lambda: serve(pieces(go), answer=False)),
        ("receive + respond: repeated", count, lambda: serve(pieces(same), answer=True)),
        ("receive + respond: varying timeout", count, lambda: serve(pieces(go), answer=True)),
        ("HPACK decode: varying timeout", count, decode),
        ("client: call + receive the answer", count, lambda: call_all(down)),
        ("send_message to 100 streams", 100 * (count // 100), lambda: fan_out(100, count // 100)),
    ]


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print the table; returns microseconds per call by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls and rounds")
    options = parser.parse_args(arguments)
    count, rounds = (2_000, 3) if options.quick else (20_000, 7)
    results = {}
    print(f"{'':38}{'us per call':>12}{'calls/s':>12}")
    for name, calls, work in rows(count):
        seconds = min(timeit.repeat(work, timer=time.process_time, number=1, repeat=rounds)) / calls
        results[name] = seconds * 1e6
        print(f"{name:38}{seconds * 1e6:12.2f}{1 / seconds:12,.0f}")
    return results


if __name__ == "__main__":
    main()
