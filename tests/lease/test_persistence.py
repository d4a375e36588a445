"""The "lease" bucket: etcd's bytes, and reading them back."""

from __future__ import annotations

import pytest

from triode.backends.buffer import Backend
from triode.errors import CorruptData
from triode.mvcc.lease import Lessor
from triode.rpc.pb.lease_pb2 import Lease


@pytest.mark.parametrize("lease_id", [1, 0x1234_5678_9ABC_DEF0, -1, -(1 << 63), (1 << 63) - 1])
def test_the_record_is_etcds(backend: Backend, lessor: Lessor, lease_id: int) -> None:
    lessor.grant(lease_id, 60, 0.0)
    key = (lease_id & ((1 << 64) - 1)).to_bytes(8, "big")
    assert backend.range("lease", b"", None) == [
        (key, Lease(ID=lease_id, TTL=60).SerializeToString())
    ]
    lessor.checkpoint(lease_id, 7)
    expected = Lease(ID=lease_id, TTL=60, RemainingTTL=7).SerializeToString()
    assert backend.get("lease", key) == expected
    lessor.revoke(lease_id)
    assert backend.range("lease", b"", None) == []


def test_the_bucket_exists_from_the_start(backend: Backend, lessor: Lessor) -> None:
    assert lessor.leases() == []
    backend.commit()
    assert "lease" in backend.engine.buckets()


def test_leases_are_read_back_without_keys(backend: Backend, lessor: Lessor) -> None:
    for lease_id in (5, -5, 1 << 40):
        lessor.grant(lease_id, 60 + abs(lease_id) % 7, 0.0)
        lessor.attach(lease_id, b"%d" % lease_id)
    backend.commit()
    again = Lessor(backend)
    assert sorted(again.leases()) == [-5, 5, 1 << 40]
    assert [again.granted_ttl(i) for i in (5, -5, 1 << 40)] == [
        lessor.granted_ttl(i) for i in (5, -5, 1 << 40)
    ]
    assert again.attached == {}
    assert not again.statistics().primary


def test_a_raised_minimum_holds_for_old_leases(backend: Backend, lessor: Lessor) -> None:
    lessor.grant(1, 2, 0.0)
    assert Lessor(backend, ttl_seconds_min=9).granted_ttl(1) == 9


def test_restore_replaces_everything(primary: Lessor, backend: Backend) -> None:
    primary.grant(1, 60, 0.0)
    primary.attach(1, b"k")
    backend.drop_bucket("lease")
    backend.put("lease", (2).to_bytes(8, "big"), Lease(ID=2, TTL=30).SerializeToString())
    primary.restore(backend)
    assert primary.leases() == [2]
    assert primary.attached == {}
    assert primary.expired(1e9) == [], "a member that was sent a snapshot is a follower"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"\0\0\0\0\0\0\0\1", b"\x08"),
        (b"\0\0\0\0\0\0\0\1", Lease(ID=2, TTL=60).SerializeToString()),
        (b"\1", Lease(ID=1, TTL=60).SerializeToString()),
        (b"\0\0\0\0\0\0\0\1", b""),
    ],
)
def test_a_record_that_was_never_written_is_corruption(
    backend: Backend, key: bytes, value: bytes
) -> None:
    backend.put("lease", key, value)
    with pytest.raises(CorruptData, match="lease"):
        Lessor(backend)


def test_fields_of_the_future_are_ignored(backend: Backend) -> None:
    record = Lease(ID=1, TTL=60).SerializeToString() + b"\x7a\x03abc"
    backend.put("lease", (1).to_bytes(8, "big"), record)
    assert Lessor(backend).granted_ttl(1) == 60
