"""What the applier, the watch hub and the operator rely on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from triode.backends.buffer import Backend
from triode.errors import Compacted, CorruptData
from triode.mvcc.hashes import HashKV, KeyHash
from triode.mvcc.revision import main_key
from triode.mvcc.store import Store
from triode.mvcc.txn import is_read_only, is_serializable
from triode.rpc.pb import kv_pb2
from triode.rpc.pb import rpc_pb2 as pb


def put(key: bytes, value: bytes = b"v", **options: Any) -> pb.PutRequest:
    return pb.PutRequest(key=key, value=value, **options)


def fill(store: Store, keys: int, *, puts: int = 1) -> None:
    for _ in range(puts):
        for number in range(keys):
            store.put(put(b"%05d" % number))


def test_a_commit_takes_the_consistent_index_of_the_entry_being_applied(backend: Backend) -> None:
    store = Store(backend)
    store.consistent_index, store.term = 7, 2
    store.put(put(b"a"))
    backend.commit()
    store.consistent_index = 8  # applied, not committed: lost with the put that it belongs to
    store.put(put(b"b"))
    again = Store(Backend(backend.engine))
    assert (again.consistent_index, again.term, again.revision) == (7, 2, 2)
    assert backend.get("meta", b"consistent_index") == (7).to_bytes(8, "big")


def test_a_store_can_start_over_from_a_snapshot(
    backend: Backend, make_api: Callable[..., Any]
) -> None:
    store = Store(backend)
    fill(store, 10)
    store.compact(5)
    other = make_api().backend
    behind = Store(other)
    behind.consistent_index = 3
    behind.put(put(b"x"))
    other.commit()
    behind.restore(backend)
    assert (behind.revision, behind.compact_revision) == (11, 5)
    assert behind.take_events() == []
    behind.consistent_index = 99
    other.commit()
    assert other.get("meta", b"consistent_index") == (3).to_bytes(8, "big"), "no longer its backend"


def test_members_that_answer_nobody_need_not_read(backend: Backend) -> None:
    store = Store(backend)
    request = pb.TxnRequest()
    request.success.add().request_put.CopyFrom(put(b"a"))
    request.success.add().request_range.key = b"a"
    result = store.txn(request, answered=False)
    assert result.responses[1] == (2, [], 0, False)
    assert store.range(pb.RangeRequest(key=b"a")).count == 1


def test_which_txns_are_reads() -> None:
    request = pb.TxnRequest()
    assert is_read_only(request)
    request.success.add().request_range.key = b"a"
    assert is_read_only(request)
    assert not is_serializable(request)
    request.success[0].request_range.serializable = True
    assert is_serializable(request)
    request.failure.add().request_txn.success.add().request_range.key = b"a"
    assert not is_read_only(request), "a nested txn goes through the log"
    assert not is_serializable(request)


def test_events_are_encoded_once_and_share_the_stored_bytes(backend: Backend) -> None:
    store = Store(backend)
    store.put(put(b"a", b"1"))
    store.put(put(b"a", b"2", prev_kv=True))
    store.delete_range(pb.DeleteRangeRequest(key=b"a"))
    first, second, third = store.take_events()
    assert store.take_events() == []
    assert second.wire() is second.wire()
    prev = store.prev_kv(second)
    assert prev is first.kv
    watch = pb.WatchResponse.FromString(second.wire_with_prev(prev) + third.wire_with_prev(None))
    old, new = (
        kv_pb2.KeyValue(key=b"a", create_revision=2, mod_revision=2, version=1, value=b"1"),
        kv_pb2.KeyValue(key=b"a", create_revision=2, mod_revision=3, version=2, value=b"2"),
    )
    assert list(watch.events) == [
        kv_pb2.Event(kv=new, prev_kv=old),
        kv_pb2.Event(type=1, kv=kv_pb2.KeyValue(key=b"a", mod_revision=4)),
    ]
    store.put(put(b"b"))
    store.drop_events()
    assert store.take_events() == []


def test_history_comes_in_whole_revisions(backend: Backend) -> None:
    store = Store(backend)
    fill(store, 3)
    store.delete_range(pb.DeleteRangeRequest(key=b"\0", range_end=b"\0"))  # 3 changes at 5
    store.put(put(b"z"))
    sizes = []
    at = 2
    while at <= store.revision:
        part = store.history(at, 2)
        sizes.append([event.mod_revision for event in part.events])
        at = part.next_revision
    assert sizes == [[2, 3], [4], [5, 5, 5], [6]]
    assert store.history(7, 2) == ([], 7)
    store.compact(4)
    with pytest.raises(Compacted):
        store.history(3, 2)


def test_a_sweep_touches_as_many_rows_as_asked_and_leaves_the_store_usable(
    backend: Backend,
) -> None:
    store = Store(backend)
    fill(store, 20, puts=3)
    before = store.hash_kv().hash
    store.compact(41)
    after = store.hash_kv().hash
    slices = 0
    while not store.compaction_slice(7):
        slices += 1
        assert store.compaction_pending
        assert store.range(pb.RangeRequest(key=b"0", range_end=b"\0")).count == 20
        assert store.hash_kv().hash == after, "the sweep does not show"
    assert slices == 40 // 7
    assert not store.compaction_pending
    assert before != after == store.hash_kv().hash
    assert len(backend.range("key", b"", None)) == 40


def test_compactions_stand_in_line_and_leave_their_hashes(backend: Backend) -> None:
    store = Store(backend)
    fill(store, 5, puts=2)
    for revision in (3, 6, 9):
        store.compact(revision)
    while not store.compaction_slice(2):
        pass
    # The second and third were asked for before the ones ahead of them had finished.
    assert [found.hash_revision for found in store.compaction_hashes] == [3]
    for revision in range(10, 12):
        store.compact(revision)
        store.compaction_slice()
    fill(store, 15)
    for revision in range(12, 25):
        store.compact(revision)
        store.compaction_slice()
    kept = store.compaction_hashes
    assert [found.hash_revision for found in kept] == list(range(15, 25))
    assert [found.compact_revision for found in kept] == list(range(14, 24))
    assert store.hash_kv(20) == kept[5], "also below the compact revision"
    with pytest.raises(Compacted):
        store.hash_kv(14)


def test_a_hash_job_reads_a_frozen_state(backend: Backend) -> None:
    store = Store(backend)
    fill(store, 30, puts=2)
    store.compact(20)
    expected = store.hash_kv()
    job = store.hash_kv_job()
    assert isinstance(job, KeyHash)
    rows = 0
    while not job.advance(7):
        rows += 7
        store.put(put(b"00001", b"later"))
        store.compaction_slice(5)
    assert rows >= 56
    assert job.value() == expected
    assert isinstance(expected, HashKV)


def test_hash_covers_all_buckets_but_not_the_position_in_the_log(backend: Backend) -> None:
    store = Store(backend)
    store.put(put(b"a"))
    before = store.hash()
    store.consistent_index, store.term = 5, 1
    backend.put("meta", b"storageVersion", b"3.6.0")
    assert store.hash() == before
    backend.put("lease", b"12345678", b"x")
    assert store.hash() != before


def test_revisions_do_not_go_down_when_a_database_of_3_5_lost_its_last_row(
    backend: Backend,
) -> None:
    store = Store(backend)
    store.put(put(b"a"))
    store.delete_range(pb.DeleteRangeRequest(key=b"a"))
    backend.put("meta", b"scheduledCompactRev", main_key(3))
    backend.delete("key", main_key(2))
    backend.delete("key", main_key(3) + b"t")  # older versions delete it, too
    again = Store(backend)
    assert (again.revision, again.compact_revision) == (3, 3)
    assert again.compaction_slice()
    assert Store(backend).revision == 3


def test_a_row_that_is_missing_is_corruption_and_not_an_absent_key(backend: Backend) -> None:
    store = Store(backend, cache_bytes=0)
    fill(store, 2)
    backend.delete("key", main_key(2))
    with pytest.raises(CorruptData):
        store.range(pb.RangeRequest(key=b"00000"))
    with pytest.raises(CorruptData):
        store.range(pb.RangeRequest(key=b"0", range_end=b"\0"))


def test_a_row_of_nonsense_is_corruption(backend: Backend) -> None:
    Store(backend)
    backend.put("key", main_key(9), b"\xff\xff\xff")
    with pytest.raises(CorruptData):
        Store(backend)


def test_leases_without_a_lessor_are_unknown(
    backend: Backend, make_api: Callable[..., Any]
) -> None:
    api = make_api()
    api.call(pb.LeaseGrantRequest(ID=7, TTL=60))
    api.call(put(b"a", lease=7))
    api.backend.drop_bucket("lease")  # the lease is gone, the key still names it
    api.open()
    assert api.lessor.attached == {}
    assert api.call(pb.RangeRequest(key=b"a")).kvs[0].lease == 7
