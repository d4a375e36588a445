"""What every member does with leases: grant, revoke, attach, detach."""

from __future__ import annotations

import pytest

from triode.errors import Code, InvariantBroken, LeaseExist, LeaseNotFound, LeaseTTLTooLarge
from triode.mvcc.lease import Lessor, ttl_seconds_min

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1


@pytest.mark.parametrize(("asked", "given"), [(60, 60), (2, 2), (1, 2), (0, 2), (-5, 2)])
def test_a_ttl_below_the_minimum_is_raised(lessor: Lessor, asked: int, given: int) -> None:
    assert lessor.grant(1, asked, 0.0) == given
    assert lessor.granted_ttl(1) == given


def test_the_minimum_is_one_and_a_half_election_timeouts_in_whole_seconds() -> None:
    assert [ttl_seconds_min(seconds) for seconds in (0.1, 1.0, 2.0, 5.0)] == [1, 2, 3, 8]


def test_a_ttl_has_a_maximum(lessor: Lessor) -> None:
    assert lessor.grant(1, 9_000_000_000, 0.0) == 9_000_000_000
    with pytest.raises(LeaseTTLTooLarge) as raised:
        lessor.grant(2, 9_000_000_001, 0.0)
    assert raised.value.code is Code.OUT_OF_RANGE
    assert not lessor.exists(2)


def test_an_id_is_granted_once(lessor: Lessor) -> None:
    lessor.grant(7, 60, 0.0)
    with pytest.raises(LeaseExist):
        lessor.grant(7, 30, 0.0)
    assert lessor.granted_ttl(7) == 60
    with pytest.raises(LeaseTTLTooLarge):  # as etcd: the TTL is looked at first
        lessor.grant(7, 1 << 60, 0.0)


def test_id_zero_is_no_lease(lessor: Lessor) -> None:
    with pytest.raises(LeaseNotFound):
        lessor.grant(0, 60, 0.0)
    assert not lessor.exists(0)


@pytest.mark.parametrize("lease_id", [1, -1, INT64_MIN, INT64_MAX])
def test_ids_are_any_int64(lessor: Lessor, lease_id: int) -> None:
    lessor.grant(lease_id, 60, 0.0)
    lessor.attach(lease_id, b"k")
    assert lessor.leases() == [lease_id]
    assert lessor.attached == {b"k": lease_id}
    assert lessor.revoke(lease_id) == [b"k"]
    assert lessor.leases() == []


def test_revoke_returns_the_keys_in_order_and_forgets_them(lessor: Lessor) -> None:
    lessor.grant(1, 60, 0.0)
    lessor.grant(2, 60, 0.0)
    for key in (b"b", b"\xff", b"", b"a", b"ab"):
        lessor.attach(1, key)
    lessor.attach(2, b"other")
    assert lessor.revoke(1) == [b"", b"a", b"ab", b"b", b"\xff"]
    assert not lessor.exists(1)
    assert lessor.attached == {b"other": 2}
    with pytest.raises(LeaseNotFound) as raised:
        lessor.revoke(1)
    assert raised.value.code is Code.NOT_FOUND


def test_a_revoked_id_can_be_granted_again_without_its_old_keys(lessor: Lessor) -> None:
    lessor.grant(1, 60, 0.0)
    lessor.attach(1, b"k")
    lessor.revoke(1)
    lessor.grant(1, 30, 0.0)
    assert lessor.keys(1) == []
    assert lessor.granted_ttl(1) == 30


def test_attach_and_detach(lessor: Lessor) -> None:
    lessor.grant(1, 60, 0.0)
    lessor.grant(2, 60, 0.0)
    lessor.attach(1, b"k")
    lessor.attach(1, b"k")
    lessor.attach(1, b"a")
    assert lessor.keys(1) == [b"a", b"k"]
    lessor.detach(1, b"k")
    lessor.attach(2, b"k")
    assert (lessor.keys(1), lessor.keys(2)) == ([b"a"], [b"k"])
    lessor.detach(1, b"k")  # not its key any more
    assert lessor.attached == {b"a": 1, b"k": 2}


def test_a_key_has_one_lease_at_most(lessor: Lessor) -> None:
    lessor.grant(1, 60, 0.0)
    lessor.grant(2, 60, 0.0)
    lessor.attach(1, b"k")
    with pytest.raises(InvariantBroken):
        lessor.attach(2, b"k")


def test_unknown_leases(lessor: Lessor) -> None:
    for change in (lessor.attach, lessor.detach):
        with pytest.raises(LeaseNotFound):
            change(9, b"k")
    assert lessor.keys(9) == []
    assert lessor.granted_ttl(9) == 0
    assert not lessor.needs_clearing(9)
    lessor.checkpoint(9, 5)
    assert lessor.leases() == []


def test_statistics(primary: Lessor) -> None:
    for lease_id in (1, 2, 3):
        primary.grant(lease_id, 10, 0.0)
    primary.attach(1, b"a")
    primary.attach(1, b"b")
    primary.keep_alive(2, 1.0)
    for lease_id in primary.expired(10.0):
        primary.revoke(lease_id)
    statistics = primary.statistics()
    assert statistics.primary
    assert (statistics.leases, statistics.keys) == (1, 0)
    assert (statistics.granted_total, statistics.revoked_total) == (3, 2)
    assert (statistics.renewed_total, statistics.expired_total) == (1, 2)
