"""Leases and keys together: the store's hooks."""

from __future__ import annotations

from triode.backends.buffer import Backend
from triode.mvcc.lease import Lessor
from triode.mvcc.store import Store
from triode.rpc.pb.rpc_pb2 import DeleteRangeRequest, PutRequest, RangeRequest


def _put(store: Store, key: bytes, lease: int = 0, *, ignore_lease: bool = False) -> None:
    store.put(PutRequest(key=key, lease=lease, ignore_lease=ignore_lease))


def _keys(store: Store) -> int:
    return store.range(RangeRequest(key=b"\0", range_end=b"\0")).count


def test_puts_attach_and_detach(backend: Backend, lessor: Lessor) -> None:
    store = Store(backend, lease_hooks=lessor)
    lessor.grant(1, 60, 0.0)
    lessor.grant(2, 60, 0.0)
    _put(store, b"a", 1)
    _put(store, b"b", 1)
    assert lessor.keys(1) == [b"a", b"b"]
    _put(store, b"a", 1)
    _put(store, b"b", 2)
    assert (lessor.keys(1), lessor.keys(2)) == ([b"a"], [b"b"])
    _put(store, b"b", ignore_lease=True)
    assert lessor.keys(2) == [b"b"]
    _put(store, b"b")
    assert lessor.keys(2) == []
    store.delete_range(DeleteRangeRequest(key=b"a"))
    assert lessor.attached == {}


def test_a_revoke_deletes_all_keys_in_one_revision(backend: Backend, lessor: Lessor) -> None:
    store = Store(backend, lease_hooks=lessor)
    lessor.grant(1, 60, 0.0)
    for key in (b"c", b"a", b"b"):
        _put(store, key, 1)
    _put(store, b"free")
    store.take_events()
    store.delete_lease_keys(lessor.revoke(1))
    events = store.take_events()
    assert [(event.kind, event.key, event.mod_revision) for event in events] == [
        (1, b"a", 6),
        (1, b"b", 6),
        (1, b"c", 6),
    ]
    assert _keys(store) == 1


def test_a_revoke_of_a_lease_without_keys_makes_no_revision(
    backend: Backend, lessor: Lessor
) -> None:
    store = Store(backend, lease_hooks=lessor)
    lessor.grant(1, 60, 0.0)
    store.delete_lease_keys(lessor.revoke(1))
    assert store.revision == 1


def test_keys_are_attached_again_after_a_restart(backend: Backend, lessor: Lessor) -> None:
    store = Store(backend, lease_hooks=lessor)
    for lease_id in (1, -2):
        lessor.grant(lease_id, 60, 0.0)
    _put(store, b"a", 1)
    _put(store, b"b", -2)
    _put(store, b"c", 1)
    _put(store, b"c")
    _put(store, b"d", 1)
    store.delete_range(DeleteRangeRequest(key=b"d"))
    backend.commit()
    again = Lessor(backend)
    Store(backend, lease_hooks=again)
    assert again.attached == {b"a": 1, b"b": -2}
    assert again.keys(-2) == [b"b"]
