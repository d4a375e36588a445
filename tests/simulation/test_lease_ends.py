"""Leases of an hour in simulations: time is skipped up to shortly before their ends, which are judged exactly."""

from __future__ import annotations

import pytest
import trio

from triode import testing
from triode.mvcc.lease import Lessor
from triode.testing.checkers import check_leases_early, check_linearizable
from triode.testing.checkers import requests as r
from triode.testing.checkers.evidence import collect
from triode.testing.checkers.history import WatchRequest
from triode.testing.workload.client import RecordingClient
from triode.testing.workload.lease_ends import live_through_leases
from triode.testing.workload.recorder import Recorder
from triode.testing.workload.watcher import Watcher

KEY = b"key"


async def an_hour() -> tuple[int, float]:
    """How many early ends the checker finds of a lease that is renewed once, and the virtual seconds it took."""
    async with testing.cluster(3) as cluster, trio.open_nursery() as nursery:
        recorder = Recorder(cluster.now)

        def endpoints() -> tuple[int, testing.Client]:
            return 1, cluster.client(1)

        client = RecordingClient(recorder, endpoints)
        watcher = Watcher(recorder, endpoints, cluster.machine(1).random, WatchRequest(KEY))
        nursery.start_soon(watcher.run)
        await client.do(r.Grant(7, 3600))
        await client.do(r.Put(KEY, b"1", 7))
        await trio.sleep(5)
        await client.do(r.KeepAlive(7))
        began = trio.current_time()
        await live_through_leases(cluster, recorder, (1.0, 1.0))
        await trio.sleep(3)
        gone = await client.do(r.Range(KEY))
        took = trio.current_time() - began
        nursery.cancel_scope.cancel()
        assert gone.response == r.Got()
        assert cluster.skipped_seconds > 3590
        history = recorder.history
        order = check_linearizable(history).order
        assert order
        return len(check_leases_early(history, order, collect(history))), took


def test_a_lease_of_an_hour_ends_in_seconds() -> None:
    found, took = testing.run(an_hour, seed=1)
    assert (found, took < 10) == (0, True)


@pytest.mark.parametrize("seconds", [0.6, 5.0, 1000.0])
def test_it_is_found_when_it_ends_early(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The reaper looks twice a second, so half a second is surely met."""
    expired = Lessor.expired
    monkeypatch.setattr(
        Lessor, "expired", lambda self, now, *rest: expired(self, now + seconds, *rest)
    )
    monkeypatch.setattr(Lessor, "due", lambda _self, _now: True)
    assert testing.run(an_hour, seed=1)[0] == 1


async def skipped() -> None:
    """Clocks go on by as much as true time did, at their own rates; nothing else does."""
    async with testing.cluster(1) as cluster:
        machine = cluster.machine(1)
        machine.clock.rate = 2.0
        before = machine.clock.now(), machine.clock.wall(), cluster.now(), trio.current_time()
        cluster.skip_time(100.0)
        after = machine.clock.now(), machine.clock.wall(), cluster.now(), trio.current_time()
        passed = [b - a for a, b in zip(before, after, strict=True)]
        assert passed == pytest.approx([200.0, 200.0, 100.0, 0.0])


def test_time_is_skipped_for_all() -> None:
    testing.run(skipped, seed=1)
