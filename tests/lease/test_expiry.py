"""What only the primary does: expiry, keep-alive, promotion. The clock is moved by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from triode.errors import NotPrimaryLessor
from triode.mvcc.lease import Lessor


def test_a_lease_expires_after_its_ttl_and_not_before(primary: Lessor) -> None:
    primary.grant(1, 10, 100.0)
    assert primary.expired(109.999) == []
    assert primary.expired(110.0) == [1]
    assert primary.exists(1), "it ends when the revoke is applied"


def test_a_keep_alive_starts_the_ttl_anew(primary: Lessor) -> None:
    primary.grant(1, 10, 0.0)
    assert primary.keep_alive(1, 9.0) == 10
    assert primary.expired(18.9) == []
    assert primary.expired(19.0) == [1]


def test_a_keep_alive_of_an_unknown_lease_is_zero(primary: Lessor) -> None:
    assert primary.keep_alive(1, 0.0) == 0


def test_a_lease_that_is_over_cannot_be_kept_alive(primary: Lessor) -> None:
    primary.grant(1, 10, 0.0)
    assert primary.keep_alive(1, 10.0) == 0
    assert primary.expired(10.0) == [1]
    assert primary.keep_alive(1, 11.0) == 0


def test_time_to_live_is_in_whole_seconds(primary: Lessor) -> None:
    primary.grant(1, 10, 0.0)
    assert primary.time_to_live(1, 0.0) == 10
    assert primary.time_to_live(1, 0.1) == 9
    assert primary.time_to_live(1, 9.5) == 0
    assert primary.time_to_live(1, 20.0) == 0, "negative would mean unknown"
    assert primary.time_to_live(2, 0.0) == -1


def test_leases_are_listed_by_expiry(primary: Lessor) -> None:
    for lease_id, ttl in ((1, 30), (2, 10), (3, 20)):
        primary.grant(lease_id, ttl, 0.0)
    primary.keep_alive(2, 9.0)
    assert primary.leases() == [2, 3, 1]
    primary.keep_alive(2, 10.5)
    assert primary.leases() == [3, 2, 1]


def test_an_expired_lease_is_reported_again_if_it_lives_on(primary: Lessor) -> None:
    primary.grant(1, 10, 0.0)
    assert primary.expired(10.0) == [1]
    assert primary.expired(12.9) == []
    assert primary.expired(13.0) == [1]
    primary.revoke(1)
    assert primary.expired(100.0) == []


def test_expired_leases_come_in_order_up_to_the_limit(primary: Lessor) -> None:
    for lease_id in range(1, 8):
        primary.grant(lease_id, 20 - lease_id, 0.0)
    assert primary.expired(30.0, limit=3) == [7, 6, 5]
    assert primary.expired(30.0, limit=3) == [4, 3, 2]
    assert primary.expired(30.0, limit=3) == [1]
    assert primary.expired(30.0, limit=3) == []


def test_an_id_that_was_granted_again_has_its_own_expiry(primary: Lessor) -> None:
    primary.grant(1, 10, 0.0)
    primary.revoke(1)
    primary.grant(1, 100, 5.0)
    assert primary.expired(104.9) == []
    assert primary.expired(105.0) == [1]


# --- being primary or not ---------------------------------------------------------------------------


def test_nothing_expires_on_a_follower(lessor: Lessor) -> None:
    lessor.grant(1, 2, 0.0)
    assert lessor.expired(1e9) == []
    assert lessor.checkpoints(1e9) == []
    with pytest.raises(NotPrimaryLessor):
        lessor.keep_alive(1, 0.0)
    with pytest.raises(NotPrimaryLessor):
        lessor.time_to_live(1, 0.0)


def test_promotion_gives_a_full_ttl_and_the_extension(lessor: Lessor) -> None:
    lessor.grant(1, 10, 0.0)
    lessor.promote(1000.0, 1.0)
    assert lessor.time_to_live(1, 1000.0) == 11
    assert lessor.expired(1010.9) == []
    assert lessor.expired(1011.0) == [1]


def test_a_demoted_lessor_forgets_its_expiries(primary: Lessor) -> None:
    primary.grant(1, 10, 0.0)
    primary.demote()
    assert primary.expired(1e9) == []
    assert primary.leases() == [1]
    primary.grant(2, 5, 1e9)
    primary.promote(2e9, 0.0)
    assert primary.expired(2e9 + 9.9) == [2]
    assert primary.expired(2e9 + 10.0) == [1]


def test_a_keep_alive_does_not_shorten_an_extended_lease(lessor: Lessor) -> None:
    lessor.grant(1, 10, 0.0)
    lessor.promote(0.0, 5.0)
    assert lessor.keep_alive(1, 1.0) == 10
    assert lessor.expired(14.9) == []
    assert lessor.expired(15.0) == [1]


@pytest.mark.parametrize(("leases", "rate"), [(10_000, 1000), (2000, 100), (100, 100)])
def test_a_crowd_that_would_expire_at_once_is_spread(
    new_primary: Callable[..., Lessor], leases: int, rate: int
) -> None:
    lessor = new_primary(revokes_per_second=rate)
    lessor.demote()
    for lease_id in range(1, leases + 1):
        lessor.grant(lease_id, 60, 0.0)
    lessor.promote(0.0, 1.0)
    when = Counter(lessor.time_to_live(lease_id, 0.0) for lease_id in range(1, leases + 1))
    assert min(when) == 61, "nobody is shortened"
    assert max(when.values()) <= rate
    # It takes as long as the rate asks for, not much longer.
    assert max(when) <= 61 + leases / (0.75 * rate) + 1


def test_crowds_that_run_into_each_other_are_spread_as_one(
    new_primary: Callable[..., Lessor],
) -> None:
    lessor = new_primary(revokes_per_second=200)
    lessor.demote()
    ttls = {lease_id: 60 + lease_id % 4 for lease_id in range(1, 3001)}
    for lease_id, ttl in ttls.items():
        lessor.grant(lease_id, ttl, 0.0)
    lessor.promote(0.0, 0.0)
    left = {lease_id: lessor.time_to_live(lease_id, 0.0) for lease_id in ttls}
    assert all(left[lease_id] >= ttl for lease_id, ttl in ttls.items())
    assert max(Counter(left.values()).values()) <= 150, "three quarters of the rate"
    assert max(left.values()) <= 60 + 3000 / 150


def test_few_leases_are_not_spread(new_primary: Callable[..., Lessor]) -> None:
    lessor = new_primary(revokes_per_second=100)
    lessor.demote()
    for lease_id in range(1, 100):
        lessor.grant(lease_id, 60, 0.0)
    lessor.promote(0.0, 1.0)
    assert len(lessor.expired(61.0)) == 99


def test_leases_that_are_apart_are_not_put_off(new_primary: Callable[..., Lessor]) -> None:
    lessor = new_primary(revokes_per_second=10)
    lessor.demote()
    for lease_id in range(1, 101):
        lessor.grant(lease_id, 10 * lease_id, 0.0)
    lessor.promote(0.0, 0.0)
    assert all(lessor.time_to_live(lease_id, 0.0) == 10 * lease_id for lease_id in range(1, 101))


def test_keep_alives_and_churn_leave_no_litter(primary: Lessor) -> None:
    """Thousands of keep-alives and grants of a long lease do not fill the queues."""
    primary.grant(1, 1_000_000, 0.0)
    for at in range(20_000):
        primary.keep_alive(1, float(at))
        primary.grant(2, 1_000_000, float(at))
        primary.revoke(2)
    assert len(primary._expiries) < 5000
    assert len(primary._checkpoints) < 5000
    assert primary.expired(1_019_998.0) == []
    assert primary.expired(1_019_999.0) == [1]
