"""The workload against real servers over real sockets: the model is right about etcd, and we about ourselves."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio

from triode.errors import Code, EtcdError, RequestTimeout
from triode.testing.checkers import Verdict, judge
from triode.testing.checkers import requests as r
from triode.testing.workload import (
    MIXES,
    LossyEndpoint,
    Recorder,
    RecordingClient,
    SocketEndpoint,
    Workload,
    hashes_of,
    log_of,
)

RUN_SECONDS = 2.5


async def work(port: int, seed: int, loss: float) -> tuple[Recorder, Any]:
    """A few seconds of all mixes; the record, and the judgement."""
    random = Random(seed)
    recorder = Recorder(trio.current_time)
    endpoint = SocketEndpoint("127.0.0.1", port)
    lossy = LossyEndpoint(endpoint, random, request_loss=loss / 2, answer_loss=loss / 2)
    workload = Workload(
        recorder,
        lambda: (1, lossy),
        random,
        mixes=MIXES * 2,
        pause_seconds=(0.0, 0.02),
    )
    async with trio.open_nursery() as watching:
        watching.start_soon(workload.run_watchers)
        with trio.move_on_after(RUN_SECONDS):
            await workload.run_clients()
        with trio.fail_after(30):
            await trio.sleep(0.2)
            await workload.settle([endpoint])
            hashes = await hashes_of([endpoint])
            log = await log_of(endpoint)
        watching.cancel_scope.cancel()
    endpoint.close()
    return recorder, judge(recorder.history, log=log, hashes=hashes)


@pytest.mark.parametrize(
    "name", [pytest.param("launch_etcd", marks=pytest.mark.etcd), "launch_triode"]
)
async def test_a_real_server_keeps_its_promises(name: str, request: pytest.FixtureRequest) -> None:
    """With a network that loses requests and answers."""
    launch: Callable[..., Any] = request.getfixturevalue(name)
    server = launch()
    recorder, judgement = await work(server.port, 1, loss=0.05)
    assert judgement.violations == []
    assert judgement.linearization.verdict is Verdict.LINEARIZABLE
    known = [op for op in recorder.history.operations if op.known]
    assert len(known) > 100
    assert {type(op.request) for op in known} >= {
        r.Put,
        r.Range,
        r.Txn,
        r.Delete,
        r.Grant,
        r.KeepAlive,
    }
    assert any(not op.known and not op.failed for op in recorder.history.operations)
    assert sum(len(watch.events) for watch in recorder.history.watches) > 100


# --- the recording client -------------------------------------------------------------------------


class Deaf:
    """An endpoint that answers as it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def call(self, method: str, request: Any, /) -> Any:
        del method, request
        if self.answer is None:
            await trio.sleep_forever()
        raise self.answer

    def stream(self, method: str, /) -> Any:
        raise AssertionError(method)


async def record(answer: Any, request: r.Request) -> tuple[RecordingClient, Any]:
    recorder = Recorder(trio.current_time)
    client = RecordingClient(recorder, lambda: (3, Deaf(answer)), reply_seconds_max=0.01)
    op = await client.do(request)
    assert recorder.history.operations == [op]
    assert op.member == 3
    return client, op


async def test_no_answer_in_time_is_unknown() -> None:
    """And the client goes on as another, for this one may still be at it."""
    client, op = await record(None, r.Put(b"a"))
    assert (op.returned, op.known, op.failed) == (None, False, False)
    assert client.number != op.client


@pytest.mark.parametrize("error", [RequestTimeout(), EtcdError("?", code=Code.UNAVAILABLE)])
async def test_an_error_that_says_nothing_is_unknown(error: EtcdError) -> None:
    """It may have happened all the same."""
    _, op = await record(error, r.Put(b"a"))
    assert (op.known, op.failed, op.error) == (False, False, error.message)


async def test_an_error_that_is_a_result_is_an_answer() -> None:
    """The model has to agree with it."""
    text = "etcdserver: requested lease not found"
    client, op = await record(EtcdError(text, code=Code.NOT_FOUND), r.Put(b"a", b"", 7))
    assert op.response == r.Refused(text)
    assert client.number == op.client


async def test_what_was_refused_surely_did_not_happen() -> None:
    """Whatever was too many or wrong in itself."""
    for error in (
        EtcdError("etcdserver: too many requests"),
        EtcdError("etcdserver: key is not provided", code=Code.INVALID_ARGUMENT),
    ):
        _, op = await record(error, r.Put(b""))
        assert op.failed


async def test_stamps_never_repeat(autojump_clock: Any) -> None:
    """Though virtual time stands still, and they follow it when it does not."""
    recorder = Recorder(trio.current_time)
    stamps = [recorder.stamp() for _ in range(5)]
    await trio.sleep(2)
    stamps.append(recorder.stamp())
    assert stamps == [1, 2, 3, 4, 5, 2_000_000_000]
    del autojump_clock
