"""Requests of every RPC with values that nobody sends: each gets a status that was meant."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from triode.errors import by_text
from triode.rpc.methods import METHODS, Method
from triode.rpc.pb.rpc_pb2 import (
    CORRUPT,
    NOSPACE,
    AlarmRequest,
    AlarmResponse,
    HashKVRequest,
    HashKVResponse,
    LeaseGrantRequest,
    LeaseLeasesResponse,
)

INT64 = (-(2**63), -1, 0, 1, 2, 3, 5, 2**31, 2**53, 2**63 - 1)
UINT64 = (0, 1, 7, 2**63 - 1, 2**63, 2**64 - 1)
ENUM = (-(2**31), -1, 0, 1, 2, 3, 4, 5, 99, 2**31 - 1)
BYTES = (b"", b"\0", b"a", b"b", b"a/", b"\xff", b"\xff" * 20, b"k" * 300, bytes(range(256)))
TEXTS = (
    "",
    "a",
    "3.5",
    "3.5.0",
    "9" * 5000 + ".1",
    "\u0663.\u0665",  # digits, but not ours
    "http://x",
    "\0",
    "ü" * 100,
    "\U0010ffff",
)
TEXTS_ALLOWED = (
    # gRPC's and the health protocol's own, and etcd's that are not in its catalogue
    "unknown service",
    "unknown method",
    "grpc: error unmarshalling request",
    "grpc: received message larger than max",
    '"leader" field must be provided',
    "election: ",
    "mutex: ",
    "not a primary lessor",
    "context deadline exceeded",
    "etcdserver: ",
)
DEPTH_MAX = 4


def _value(rng: random.Random, field: Any, depth: int) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return fill(rng, field.message_type._concrete_class(), depth + 1)
    if field.type == FieldDescriptor.TYPE_BYTES:
        if rng.random() < 0.005:
            return b"x" * (1 << 20)
        return rng.choice(BYTES)
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(TEXTS)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.choice(ENUM)
    if field.type in (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_UINT32):
        return rng.choice(UINT64)
    return rng.choice(INT64)


def fill(rng: random.Random, message: Message, depth: int = 0) -> Message:
    """Set about half of the fields of a message."""
    for field in message.DESCRIPTOR.fields:
        nested = field.type == FieldDescriptor.TYPE_MESSAGE
        if rng.random() < 0.45 or (nested and depth >= DEPTH_MAX):
            continue
        if field.is_repeated:
            values = [_value(rng, field, depth) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
            getattr(message, field.name).extend(values)
        elif nested:
            getattr(message, field.name).CopyFrom(_value(rng, field, depth))
        else:
            setattr(message, field.name, _value(rng, field, depth))
    return message


def foreseen(code: int, text: str) -> bool:
    """Whether a status is one of the catalogue, or of gRPC's."""
    return code == 0 or by_text(text) is not None or text.startswith(TEXTS_ALLOWED)


UNARY = [method for method in METHODS.values() if method.unary]
# These wait: for a lock, or for the disk.
WAITING = ("Lock", "Campaign")
# A change of members waits for the next tick; alone, a member may tick often.
QUICK = {"heartbeat_interval": 0.01, "election_timeout": 0.1}


async def ask_everything(
    peers: ModuleType,
    port: int,
    rng: random.Random,
    rounds: int,
    methods: list[Method],
    ttl_min: int = 0,
) -> dict[str, set[int]]:
    """Random requests of all methods, pipelined on one connection; codes seen by method."""
    client = await peers.Client.connect(port)
    seen: dict[str, set[int]] = {method.name: set() for method in methods}
    for _ in range(rounds):
        asked: dict[int, tuple[Method, Message]] = {}
        for method in rng.sample(methods, len(methods)):
            request = fill(rng, method.request())
            if isinstance(request, AlarmRequest) and request.alarm in (NOSPACE, CORRUPT):
                request.alarm = 99  # type: ignore[assignment]  # these would stop all writes
            elif ttl_min and isinstance(request, LeaseGrantRequest):
                request.TTL = max(request.TTL, ttl_min)
            options = {"timeout_ns": 10_000_000} if method.name in WAITING else {}
            stream_id = client.grpc.call(method.path, request.SerializeToString(), **options)
            asked[stream_id] = method, request
        for stream_id, (method, request) in asked.items():
            code, text = await client.status(stream_id)
            client.waiting.pop(stream_id, None)
            seen[method.name].add(code)
            assert foreseen(code, text), f"{method.path} {code} {text!r}\n{request}"[:3000]
    client.close()
    return seen


async def test_random_requests(peers: ModuleType, run_node: Callable[..., Any]) -> None:
    """Answered from the catalogue, and the node works as before."""
    async with run_node(**QUICK) as node, peers.well_served(node):
        seen = await ask_everything(peers, node.clients.ports[0], random.Random(1), 120, UNARY)
    refused = {name for name, codes in seen.items() if 0 not in codes}
    assert len(refused) < len(UNARY) // 2, "most methods have been answered with OK once"


async def state_of(peers: ModuleType, port: int) -> tuple[Any, ...]:
    """What clients can see of the replicated state."""
    client = await peers.Client.connect(port)
    service = "/etcdserverpb."
    code, text, kv = await client.unary(service + "Maintenance/HashKV", HashKVRequest())
    assert code == 0, text
    _, _, leases = await client.unary(service + "Lease/LeaseLeases", b"")
    _, _, alarms = await client.unary(service + "Maintenance/Alarm", AlarmRequest())
    client.close()
    hashed = HashKVResponse.FromString(kv)
    return (
        hashed.hash,
        hashed.compact_revision,
        hashed.header.revision,
        sorted(lease.ID for lease in LeaseLeasesResponse.FromString(leases).leases),
        [(one.memberID, one.alarm) for one in AlarmResponse.FromString(alarms).alarms],
    )


async def test_a_log_of_random_requests_is_replayed(
    peers: ModuleType, launch_triode: Callable[..., Any]
) -> None:
    """Whatever was accepted means the same when it is read from the log after a kill."""
    settings = ["--backend-batch-interval", "1h", "--backend-batch-limit", "1000000"]
    settings += ["--heartbeat-interval", "10", "--election-timeout", "100"]
    server = launch_triode(*settings)
    methods = [method for method in UNARY if method.name not in ("Defragment", "Hash", "HashKV")]
    await ask_everything(peers, server.port, random.Random(7), 40, methods, 1 << 20)
    before = await state_of(peers, server.port)
    server.kill()
    server = launch_triode(*settings, data_dir=server.data_dir)
    assert await state_of(peers, server.port) == before
    assert server.stop() == 0
    server = launch_triode(*settings, data_dir=server.data_dir)
    assert await state_of(peers, server.port) == before


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_many_random_requests(peers: ModuleType, run_node: Callable[..., Any]) -> None:
    """`pytest -m long tests/serving`: fifty other seeds."""
    for seed in range(2, 52):
        async with run_node(**QUICK) as node:
            await ask_everything(peers, node.clients.ports[0], random.Random(seed), 200, UNARY)
