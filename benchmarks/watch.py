"""What watches cost: one event to many watchers, and history to those who are behind.

    python benchmarks/watch.py [--quick]

Most figures are of the hub alone, over a list of events in memory: matching, encoding, queueing. The
last ones read history from a store, on each engine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from triode.backends.buffer import Backend
from triode.backends.contract import Engine, EngineOptions
from triode.backends.memory import MemoryEngine
from triode.backends.sqlite import SqliteEngine
from triode.mvcc.events import PUT, Event, History
from triode.mvcc.keyvalue import encode, frame
from triode.mvcc.store import Store
from triode.mvcc.watch import WatchHub, WatchStream
from triode.protowire import int_field
from triode.rpc.pb.rpc_pb2 import PutRequest

ROUNDS = 5


class Log:
    """A store that only remembers its events, one a revision."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = -1
        self.events: list[Event] = []

    def put(self, key: bytes, value: bytes = b"v" * 100) -> Event:
        self.revision += 1
        at = self.revision
        event = Event(PUT, key, at, frame(encode(key, at, at, 1, value, 0)), True)
        self.events.append(event)
        return event

    def history(self, start_revision: int, revisions_max: int) -> History:
        end = min(start_revision + revisions_max, self.revision + 1)
        return History(self.events[start_revision - 2 : end - 2], end)

    def prev_kv(self, event: Event) -> bytes | None:
        return event.prev


def header(revision: int) -> bytes:
    return int_field(1, 1 << 62) + int_field(2, 1 << 61) + int_field(3, revision) + int_field(4, 2)


def watch(
    stream: WatchStream,
    key: bytes,
    range_end: bytes = b"",
    start_revision: int = 0,
    *,
    prev_kv: bool = False,
) -> None:
    stream.create(
        SimpleNamespace(
            key=key,
            range_end=range_end,
            start_revision=start_revision,
            progress_notify=False,
            filters=(),
            prev_kv=prev_kv,
            watch_id=0,
            fragment=False,
        )
    )


def drain(hub: WatchHub, streams: list[WatchStream]) -> int:
    """Take everything until all are synced; how many responses that was."""
    taken = sum(len(stream.take()) for stream in streams)
    while hub.catch_up():
        taken += sum(len(stream.take()) for stream in streams)
    return taken + sum(len(stream.take()) for stream in streams)


def fan_out(name: str, watchers: int, make: Callable[[WatchHub, int], list[WatchStream]]) -> None:
    """One event to all watchers: the time of `notify`, and until the last response is taken."""
    log = Log()
    hub = WatchHub(log, header=header)
    streams = make(hub, watchers)
    drain(hub, streams)
    best = whole = 1e9
    for _ in range(ROUNDS):
        event = log.put(b"key/00000")
        begin = time.perf_counter()
        hub.notify(log.revision, [event])
        mid = time.perf_counter()
        assert drain(hub, streams) == watchers
        end = time.perf_counter()
        best, whole = min(best, mid - begin), min(whole, end - begin)
    print(
        f"one event, {watchers} {name:<34} {best * 1e3:8.2f} ms  {best / watchers * 1e6:6.2f} µs/watcher"
        f"  delivered in {whole * 1e3:8.2f} ms"
    )


def own_streams(hub: WatchHub, count: int) -> list[WatchStream]:
    streams = [hub.open_stream(lambda: None) for _ in range(count)]
    for stream in streams:
        watch(stream, b"key/00000")
    return streams


def one_stream(hub: WatchHub, count: int) -> list[WatchStream]:
    stream = hub.open_stream(lambda: None)
    for _ in range(count):
        watch(stream, b"key/00000")
    return [stream]


def own_ranges(hub: WatchHub, count: int) -> list[WatchStream]:
    streams = [hub.open_stream(lambda: None) for _ in range(count)]
    for at, stream in enumerate(streams):
        watch(stream, b"a/%05d" % at, b"z")
    return streams


def unconcerned(watchers: int, events: int) -> None:
    """What a put pays when thousands watch something else."""
    for name, end in (("keys", b""), ("ranges", b"~")):
        log = Log()
        hub = WatchHub(log, header=header)
        stream = hub.open_stream(lambda: None)
        for at in range(watchers):
            key = b"key/%05d" % at
            watch(stream, key, key + end if end else b"")
        stream.take()
        batch = [log.put(b"other/%05d" % at) for at in range(events)]
        hub.notify(log.revision - 1, batch[:-1])
        batch = [log.put(b"other/%05d" % at) for at in range(events)]
        begin = time.perf_counter()
        hub.notify(log.revision, batch)
        each = (time.perf_counter() - begin) / events
        print(f"an event that none of {watchers} {name} wants {each * 1e6:22.2f} µs")


def stream_of_events(events: int, batch: int) -> None:
    """One watcher of everything, events applied in batches."""
    log = Log()
    hub = WatchHub(log, header=header)
    stream = hub.open_stream(lambda: None)
    watch(stream, b"\0", b"\0")
    spent = 0.0
    for _ in range(events // batch):
        made = [log.put(b"key/%05d" % (at % 1000)) for at in range(batch)]
        mark = time.perf_counter()
        hub.notify(log.revision, made)
        stream.take()
        spent += time.perf_counter() - mark
    print(
        f"{events} events in batches of {batch} to one watcher {spent / events * 1e6:19.2f} µs/event"
    )


def catch_up(events: int, watchers: int) -> None:
    """Watchers of everything, from the beginning."""
    log = Log()
    for at in range(events):
        log.put(b"key/%05d" % (at % 1000))
    hub = WatchHub(log, header=header)
    streams = [hub.open_stream(lambda: None) for _ in range(watchers)]
    for stream in streams:
        watch(stream, b"\0", b"\0", 1)
    begin = time.perf_counter()
    drain(hub, streams)
    spent = time.perf_counter() - begin
    rate = events * watchers / spent
    print(f"catch-up of {watchers:4} watchers over {events} revisions {rate:18,.0f} events/s")


def catch_up_from_store(events: int, engine: type[Engine], prev_kv: bool) -> None:
    """One watcher of everything, from the beginning, of a store on a real engine."""
    with tempfile.TemporaryDirectory() as directory:
        backend = Backend(engine.open(Path(directory) / "db", EngineOptions()))
        store = Store(backend)
        for at in range(events):
            store.put(PutRequest(key=b"key/%05d" % (at % 1000), value=b"v" * 100))
        store.take_events()
        backend.commit()
        hub = WatchHub(store, header=header)
        stream = hub.open_stream(lambda: None)
        watch(stream, b"\0", b"\0", 1, prev_kv=prev_kv)
        stream.take()
        slowest = spent = 0.0
        more = True
        while more:
            begin = time.perf_counter()
            more = hub.catch_up()
            took = time.perf_counter() - begin
            stream.take()
            slowest, spent = max(slowest, took), spent + took
        backend.close()
    what = f"{engine.name} store{', prev_kv' if prev_kv else ''}"
    print(
        f"catch-up of one watcher, {what:<24} {events / spent:22,.0f} events/s"
        f"  {spent / events * 1e6:.2f} µs/event  slowest slice {slowest * 1e3:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    quick = parser.parse_args().quick
    watchers = 1_000 if quick else 10_000
    fan_out("streams, one key", watchers, own_streams)
    fan_out("watches of one stream, one key", watchers, one_stream)
    fan_out("streams, overlapping ranges", watchers, own_ranges)
    unconcerned(watchers, 10_000)
    stream_of_events(10_000, 1)
    stream_of_events(100_000 if not quick else 10_000, 100)
    catch_up(10_000 if quick else 100_000, 1)
    catch_up(2_000 if quick else 20_000, 100)
    for engine in (MemoryEngine, SqliteEngine):
        for prev_kv in (False, True):
            catch_up_from_store(5_000 if quick else 50_000, engine, prev_kv)


if __name__ == "__main__":
    main()
