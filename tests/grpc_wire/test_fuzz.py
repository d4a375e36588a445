"""Conversations with a few bytes changed: neither session raises, and no call ends twice."""

from __future__ import annotations

import random
from typing import Any

import pytest

from triode.rpc.grpc import GrpcClient, GrpcServer, Limits
from triode.rpc.grpc import events as at_server
from triode.rpc.grpc.client import ClientEvent, Finished

UNARY, STREAM = "/test.T/Unary", "/test.T/Stream"
LIMITS = Limits(nuisance_burst=100, collected_bytes_max=50_000, stream_window_bytes=65_535)


def serve(server: GrpcServer, data: bytes, over: set[int]) -> None:
    """An echo server that also watches the order of events."""
    for event in server.receive(data):
        if isinstance(event, at_server.Request):
            assert event.stream_id not in over
            server.respond(event.stream_id, event.message)
        elif isinstance(event, at_server.CallStarted):
            assert event.stream_id not in over
            if event.stream_id % 3 == 0:
                server.pause(event.stream_id)
        elif isinstance(event, at_server.Message):
            assert event.stream_id not in over
            server.send_message(event.stream_id, event.data)
        elif isinstance(event, at_server.HalfClosed):
            server.finish(event.stream_id)
        elif isinstance(event, at_server.Cancelled):
            assert event.stream_id not in over
            over.add(event.stream_id)


def note(events: list[ClientEvent], over: set[int]) -> None:
    for event in events:
        stream_id = getattr(event, "stream_id", None)
        assert stream_id not in over
        if isinstance(event, Finished):
            over.add(event.stream_id)


def start_calls(rng: random.Random, client: GrpcClient) -> None:
    for _ in range(rng.randint(1, 6)):
        metadata: dict[str, Any] = {"x": "y"} if rng.random() < 0.5 else {"x-bin": b"z"}
        timeout_ns = rng.choice([None, rng.randrange(10**10)])
        if rng.random() < 0.5:
            client.call(UNARY, bytes(rng.choice([0, 9, 4000])), timeout_ns=timeout_ns)
            continue
        call = client.start_call(STREAM, metadata=metadata, timeout_ns=timeout_ns)
        for _ in range(rng.randrange(4)):
            client.send_message(call, bytes(rng.choice([0, 9, 4000])))
        end = rng.randrange(3)
        if end == 0:
            client.half_close(call)
        elif end == 1:
            client.cancel(call)


def damage(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at = rng.randrange(len(out) + 1)
        if rng.random() < 0.5 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif rng.random() < 0.5:
            out[at:at] = rng.randbytes(rng.randint(1, 12))
        else:
            del out[at : at + rng.randint(1, 12)]
    return bytes(out)


def converse(seed: int) -> None:
    """One of the two directions is damaged, in pieces of any size."""
    rng = random.Random(seed)
    client = GrpcClient(authority="here:1", limits=LIMITS)
    server = GrpcServer(is_unary={UNARY}, limits=LIMITS, message_bytes_max=10_000, http=True)
    served: set[int] = set()
    ended: set[int] = set()
    wounded = rng.choice(["up", "down"])
    for _ in range(4):
        if client.can_start:
            start_calls(rng, client)
        cut = rng.choice([1, 9, 500, 1 << 20])
        up = client.data_to_send()
        up = damage(rng, up) if wounded == "up" else up
        for at in range(0, len(up), cut):
            serve(server, up[at : at + cut], served)
        down = server.data_to_send()
        down = damage(rng, down) if wounded == "down" else down
        for at in range(0, len(down), cut):
            note(client.receive(down[at : at + cut]), ended)
        assert server.connection.bodies.collected_bytes <= LIMITS.collected_bytes_max
    note(client.lost("the end"), ended)
    assert client.open_calls == 0


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_damaged_conversations(start: int) -> None:
    for seed in range(start, start + 100):
        try:
            converse(seed)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_damaged_conversations() -> None:
    for seed in range(1000, 10_000):
        converse(seed)
