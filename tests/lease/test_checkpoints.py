"""Checkpoints: a long lease does not start from the beginning at every election."""

from __future__ import annotations

from collections.abc import Callable

from triode.backends.buffer import Backend
from triode.mvcc.lease import Lessor


def _replicate(lessor: Lessor, now: float) -> list[tuple[int, int]]:
    """What the log does with the checkpoints that are due."""
    due = lessor.checkpoints(now)
    for lease_id, remaining in due:
        lessor.checkpoint(lease_id, remaining)
    return due


def test_a_long_lease_is_checkpointed_each_interval(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    assert _replicate(primary, 299.9) == []
    assert _replicate(primary, 300.0) == [(1, 700)]
    assert _replicate(primary, 300.5) == []
    assert _replicate(primary, 600.0) == [(1, 400)]
    assert _replicate(primary, 900.0) == [(1, 100)]
    assert _replicate(primary, 999.0) == []


def test_a_short_lease_is_not(primary: Lessor) -> None:
    primary.grant(1, 300, 0.0)
    assert primary.checkpoints(1000.0) == []


def test_a_checkpoint_is_rounded_up(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    assert _replicate(primary, 300.5) == [(1, 700)]


def test_each_promotion_plans_anew(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    primary.promote(100.0, 0.0)
    assert primary.checkpoints(399.0) == []
    assert primary.checkpoints(400.0) == [(1, 700)]
    primary.demote()
    primary.promote(1000.0, 0.0)
    assert primary.checkpoints(1299.0) == []
    assert primary.checkpoints(1300.0) == [(1, 700)]


def test_a_new_primary_starts_from_the_checkpoint(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    _replicate(primary, 600.0)
    primary.demote()
    primary.promote(5000.0, 1.0)
    assert primary.time_to_live(1, 5000.0) == 401
    assert primary.granted_ttl(1) == 1000


def test_a_keep_alive_needs_the_checkpoint_cleared(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    assert not primary.needs_clearing(1)
    _replicate(primary, 300.0)
    assert primary.needs_clearing(1)
    mark = primary.clearing(1)
    primary.checkpoint(1, 0)
    assert primary.needs_clearing(1), "another keep-alive may not be answered before this one"
    primary.cleared(1, mark)
    assert primary.keep_alive(1, 301.0) == 1000
    assert not primary.needs_clearing(1)
    primary.demote()
    primary.promote(400.0, 0.0)
    assert primary.time_to_live(1, 400.0) == 1000


def test_a_checkpoint_that_was_proposed_counts_as_in_force(primary: Lessor) -> None:
    """It may be in the log, to be applied after the keep-alive."""
    primary.grant(1, 1000, 0.0)
    assert primary.checkpoints(300.0) == [(1, 700)]
    assert primary.needs_clearing(1)
    mark = primary.clearing(1)
    assert primary.checkpoints(600.0) == [(1, 400)]
    primary.checkpoint(1, 700)
    primary.checkpoint(1, 0)
    primary.cleared(1, mark)
    assert primary.needs_clearing(1), "the second one is on its way behind the clearing"
    primary.checkpoint(1, 400)
    mark = primary.clearing(1)
    primary.checkpoint(1, 0)
    primary.cleared(1, mark)
    assert not primary.needs_clearing(1)


def test_what_was_proposed_in_an_earlier_leadership_is_forgotten(primary: Lessor) -> None:
    """All of it is applied when a leadership begins, or never will be."""
    primary.grant(1, 1000, 0.0)
    primary.checkpoints(300.0)
    primary.demote()
    primary.promote(400.0, 0.0)
    assert not primary.needs_clearing(1)


def test_whether_anything_is_due(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    assert not primary.due(299.0)
    assert primary.due(300.0)
    _replicate(primary, 300.0)
    assert not primary.due(301.0)
    primary.grant(2, 10, 301.0)
    assert primary.due(311.0)
    primary.demote()
    assert not primary.due(2000.0)


def test_checkpoints_go_on_after_a_keep_alive(primary: Lessor) -> None:
    primary.grant(1, 400, 0.0)
    assert _replicate(primary, 300.0) == [(1, 100)]
    primary.checkpoint(1, 0)
    primary.keep_alive(1, 350.0)
    assert _replicate(primary, 649.0) == []
    assert _replicate(primary, 650.0) == [(1, 100)]


def test_a_lease_just_renewed_is_not_checkpointed_but_later(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    primary.keep_alive(1, 300.0)
    assert _replicate(primary, 300.0) == []
    assert _replicate(primary, 600.0) == [(1, 700)]


def test_a_lost_proposal_is_made_up_for_at_the_next_interval(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    assert primary.checkpoints(300.0) == [(1, 700)]
    assert primary.checkpoints(600.0) == [(1, 400)]


def test_batches_are_limited(primary: Lessor) -> None:
    for lease_id in range(1, 2502):
        primary.grant(lease_id, 1000, 0.0)
    assert [len(primary.checkpoints(300.0)) for _ in range(4)] == [1000, 1000, 501, 0]


def test_revoked_leases_are_not_checkpointed(primary: Lessor) -> None:
    primary.grant(1, 1000, 0.0)
    primary.revoke(1)
    assert primary.checkpoints(300.0) == []


def test_an_expired_lease_is_not_checkpointed(primary: Lessor) -> None:
    primary.grant(1, 400, 0.0)
    assert primary.checkpoints(400.0) == []


def test_checkpoints_can_be_off(new_primary: Callable[..., Lessor]) -> None:
    lessor = new_primary(checkpoint_interval_seconds=float("inf"))
    lessor.grant(1, 9_000_000_000, 0.0)
    assert lessor.checkpoints(8_999_999_999.0) == []


def test_checkpoints_survive_a_restart_if_they_are_persisted(backend: Backend) -> None:
    for persist, remaining in ((True, 40), (False, 0)):
        lessor = Lessor(backend, persist_checkpoints=persist)
        lessor.grant(1, 100, 0.0)
        lessor.checkpoint(1, 40)
        again = Lessor(backend)
        again.promote(0.0, 0.0)
        assert again.time_to_live(1, 0.0) == (remaining or 100)
        again.revoke(1)
