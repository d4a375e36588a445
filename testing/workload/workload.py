"""Clients of all mixes and watchers at work at once, and what is asked of each member when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import trio

from ...errors import NotSupportedForLearner
from ...rpc.pb.rpc_pb2 import HashKVRequest
from ..checkers import requests as r
from ..checkers.evidence import Log
from ..checkers.hashes import HashSample
from ..checkers.history import Event, WatchRequest
from ..checkers.model import Change
from .client import REPLY_SECONDS_MAX, Endpoint, Endpoints, RecordingClient
from .messages import watch_message, watch_response
from .recorder import Recorder
from .traffic import MIXES, Mix
from .watcher import Watcher

__all__ = ["Workload", "hashes_of", "log_of"]

WATCHES = (
    WatchRequest(b"\0", b"\0", prev_kv=True),
    WatchRequest(b"plain/", b"plain0", start_revision=1),
    WatchRequest(b"leased/", b"leased0", no_put=True, prev_kv=True),
    WatchRequest(b"plain/", b"plain0", no_delete=True),
    WatchRequest(b"registry/", b"registry0", start_revision=1, prev_kv=True),
)
PAUSE_SECONDS = (0.01, 0.3)


class Workload:
    """See the module.

    Args:
        recorder: the record of the run.
        endpoints: whom clients ask.
        random: all choices.
        mixes: one client for each.
        watches: one watcher for each.
        pause_seconds: the least and greatest time between two requests of a client.
        scale: how much slower everything goes than usual: pauses, patience, leases.
    """

    def __init__(
        self,
        recorder: Recorder,
        endpoints: Endpoints,
        random: Random,
        *,
        mixes: Sequence[type[Mix]] = MIXES,
        watches: Sequence[WatchRequest] = WATCHES,
        pause_seconds: tuple[float, float] = PAUSE_SECONDS,
        scale: float = 1.0,
    ) -> None:
        self.recorder = recorder
        self._endpoints = endpoints
        self._random = random
        self._pause_seconds = pause_seconds[0] * scale, pause_seconds[1] * scale
        patience = REPLY_SECONDS_MAX * scale
        self.clients = [
            RecordingClient(recorder, endpoints, reply_seconds_max=patience) for _ in mixes
        ]
        self.mixes = [
            mix(client, Random(random.getrandbits(64)), scale)
            for mix, client in zip(mixes, self.clients, strict=True)
        ]
        self.watchers = [
            Watcher(
                recorder, endpoints, Random(random.getrandbits(64)), watch, stay_seconds=4.0 * scale
            )
            for watch in watches
        ]

    async def run_clients(self) -> None:
        """Make requests until cancelled."""
        async with trio.open_nursery() as nursery:
            for mix in self.mixes:
                nursery.start_soon(self._run, mix)

    async def _run(self, mix: Mix) -> None:
        while True:
            await trio.sleep(mix.random.uniform(*self._pause_seconds))
            await mix.one()

    async def run_watchers(self) -> None:
        """Watch until cancelled."""
        async with trio.open_nursery() as nursery:
            for watcher in self.watchers:
                nursery.start_soon(watcher.run)

    async def settle(self, endpoints: Iterable[Endpoint]) -> int:
        """When there is peace and the watchers still run: read all from each member; watchers catch up.

        Returns the last revision.
        """
        reader = RecordingClient(self.recorder, self._endpoints)
        last = 0
        for endpoint in endpoints:
            op = await reader.do(r.Range(b"\0", b"\0"), endpoint)
            last = max(last, op.revision)
        async with trio.open_nursery() as nursery:
            for watcher in self.watchers:
                nursery.start_soon(watcher.settle, last)
        return last


async def hashes_of(endpoints: Iterable[Endpoint]) -> list[HashSample]:
    """HashKV of each member, by their member IDs."""
    samples = []
    for endpoint in endpoints:
        try:
            found = await endpoint.call("Maintenance/HashKV", HashKVRequest())
        except NotSupportedForLearner:
            continue
        revision = found.header.revision
        samples.append(
            HashSample(found.header.member_id, revision, found.compact_revision, found.hash)
        )
    return samples


async def log_of(endpoint: Endpoint) -> Log:
    """All changes that a member's store still knows, by a watch from its compact revision on."""
    (sample,) = await hashes_of([endpoint])
    first = max(sample.compact_revision, 1)
    events: dict[int, list[Event]] = {n: [] for n in range(first + 1, sample.revision + 1)}
    told = first
    if told < sample.revision:
        request = WatchRequest(b"\0", b"\0", start_revision=first + 1)
        async with endpoint.stream("Watch/Watch") as stream:
            await stream.send(watch_message(request))
            while told < sample.revision:
                response = watch_response(await stream.receive(), 0)
                for event in response.events:
                    told = event.kv.mod_revision
                    events.setdefault(told, []).append(event)
    changes = {
        revision: tuple(Change(e.kv.key, None if e.deleted else e.kv) for e in some)
        for revision, some in events.items()
    }
    return Log(first, max(told, sample.revision), changes)
