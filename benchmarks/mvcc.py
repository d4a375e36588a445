"""What the store costs: put, delete, range, txn, compaction, hash, restore, and memory per key.

    python -m benchmarks.mvcc [--quick] [--backend memory|sqlite]

Processor time in microseconds per operation, best of several runs (values of 256 bytes, protobuf
requests, one thread). Puts include what the backend's commits cost, at one commit per 5000 puts.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.mvcc.checks import check_put, check_range, check_txn
from triode.mvcc.store import Store
from triode.rpc.pb import rpc_pb2 as pb

VALUE = b"v" * 256
COMMIT_EVERY = 5000
RUNS = 3


def open_backend(name: str, folder: str) -> Backend:
    if name == "memory":
        return Backend(MemoryEngine.open(None, EngineOptions()))
    from triode.backends.sqlite import SqliteEngine

    return Backend(SqliteEngine.open(Path(folder) / "db", EngineOptions()))


def key(number: int) -> bytes:
    return b"benchmark/key/%08d" % number


def puts(count: int, keys: int) -> list[pb.PutRequest]:
    encoded = [pb.PutRequest(key=key(i % keys), value=VALUE) for i in range(count)]
    return [pb.PutRequest.FromString(one.SerializeToString()) for one in encoded]


def run_puts(store: Store, requests: list[pb.PutRequest]) -> float:
    """Check, put and drop the events, committing now and then; seconds."""
    put, backend = store.put, store.backend
    began = process_time()
    for at, request in enumerate(requests, 1):
        check_put(request)
        put(request)
        if at % COMMIT_EVERY == 0:
            store.drop_events()
            backend.commit()
    return process_time() - began


def repeat(times: int, work: Callable[[], object]) -> float:
    """Best seconds per call."""
    best = float("inf")
    for _ in range(RUNS):
        began = process_time()
        for _ in range(times):
            work()
        best = min(best, process_time() - began)
    return best / times


def show(name: str, seconds: float, note: str = "") -> None:
    print(f"  {name:<44}{seconds * 1e6:12.2f} µs  {note}")


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def writes(store: Store, scale: int) -> None:
    show("put, new key", run_puts(store, puts(scale, scale)) / scale)
    show("put, existing key", run_puts(store, puts(scale, scale // 10)) / scale)
    show("put, one hot key", run_puts(store, puts(scale, 1)) / scale)
    watched = puts(scale // 10, scale)
    began = process_time()
    for request in watched:
        store.put(request)
        for event in store.take_events():
            event.wire()
    show("put and encode its event", (process_time() - began) / len(watched))
    deletes = [pb.DeleteRangeRequest(key=key(i)) for i in range(scale // 10)]
    began = process_time()
    for delete in deletes:
        store.delete_range(delete)
    show("delete", (process_time() - began) / len(deletes))
    run_puts(store, puts(scale // 10, scale))
    store.drop_events()


def reads(store: Store, times: int) -> None:
    def of(request: pb.RangeRequest) -> Callable[[], object]:
        def run() -> object:
            check_range(request)
            return store.range(request)

        return run

    old = store.revision - 10
    point = pb.RangeRequest(key=key(500))
    page = pb.RangeRequest(key=key(1000), range_end=key(1100))
    show("range, one cached key", repeat(times * 10, of(point)))
    show("range, 100 cached keys", repeat(times, of(page)))
    page.limit = 50
    show("range, 50 of 100, with count", repeat(times, of(page)))
    page = pb.RangeRequest(
        key=key(1000), range_end=key(1100), sort_target="MOD", sort_order="DESCEND"
    )
    show("range, 100 sorted by mod_revision", repeat(times, of(page)))
    page = pb.RangeRequest(key=key(1000), range_end=key(1100), revision=old)
    show("range, 100 at an old revision", repeat(times, of(page)))
    page = pb.RangeRequest(key=key(1000), range_end=key(1100), keys_only=True)
    show("range, 100 keys only", repeat(times, of(page)))
    whole = pb.RangeRequest(key=b"\0", range_end=b"\0", count_only=True)
    show("count of all keys", repeat(times, of(whole)), f"{store.range(whole).count} keys")


def txns(store: Store, times: int) -> None:
    op = pb.RequestOp(request_put=pb.PutRequest(key=key(7), value=VALUE))
    get = pb.RequestOp(request_range=pb.RangeRequest(key=key(7)))
    swap = pb.TxnRequest(success=[op], failure=[get])
    swap.compare.add(target="VERSION", result="GREATER", key=key(7), version=0)
    bulk = pb.TxnRequest(
        success=[
            pb.RequestOp(request_put=pb.PutRequest(key=key(i), value=VALUE)) for i in range(100)
        ]
    )

    def of(request: pb.TxnRequest) -> Callable[[], object]:
        def run() -> object:
            check_txn(request)
            return store.txn(request)

        return run

    show("txn, compare and put", repeat(times, of(swap)))
    show("txn, 100 puts", repeat(times // 10, of(bulk)))
    store.drop_events()


def upkeep(store: Store) -> None:
    began = process_time()
    hashed = store.hash_kv()
    rows = len(store.backend.range("key", b"", None))
    show("hash_kv, per row", (process_time() - began) / rows, f"{rows} rows, hash {hashed.hash}")
    store.compact(store.revision)
    store.backend.commit()
    slowest, began = 0.0, process_time()
    done = False
    while not done:
        at = process_time()
        done = store.compaction_slice()
        store.backend.commit()
        slowest = max(slowest, process_time() - at)
    show("compaction, per row", (process_time() - began) / rows)
    show("compaction, slowest slice of 1000 rows", slowest)
    began = process_time()
    again = Store(store.backend)
    keys = len(again.index.keys)
    show("restore, per key", (process_time() - began) / keys, f"{keys} keys")


def memory(scale: int) -> None:
    """Index and cache alone: the engine is emptied as it goes."""

    class Nowhere(Backend):
        def put(self, bucket: str, key: bytes, value: bytes) -> None:
            pass

    gc.collect()
    before = resident_bytes()
    store = Store(Nowhere(MemoryEngine.open(None, EngineOptions())), cache_bytes=1 << 30)
    for number in range(scale):
        store.put(pb.PutRequest(key=key(number), value=VALUE))
        if number % 1000 == 0:
            store.drop_events()
    store.index.ordered()
    store.drop_events()
    gc.collect()
    used = resident_bytes() - before
    print(f"  index and cache, {scale} keys of 256 bytes: {used / 2**20:.1f} MiB", end="")
    print(f" ({used / scale:.0f} bytes per key)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--backend", choices=["memory", "sqlite"], default="memory")
    options = parser.parse_args()
    scale = 10_000 if options.quick else 100_000
    memory(scale)
    with tempfile.TemporaryDirectory() as folder:
        backend = open_backend(options.backend, folder)
        store = Store(backend)
        print(f"  backend {options.backend}, {scale} keys")
        writes(store, scale)
        reads(store, scale // 100)
        txns(store, scale // 100)
        upkeep(store)
        backend.close()


if __name__ == "__main__":
    main()
