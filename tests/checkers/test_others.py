"""Serializable reads, leases, hashes, acknowledged writes, queues: right ones pass, each kind of wrong is found."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import attrs
import pytest

from triode.testing import checkers
from triode.testing.checkers import (
    HashSample,
    History,
    Operation,
    Peace,
    QueueSample,
    Replay,
    Violation,
    check_acknowledged,
    check_hashes,
    check_leases_early,
    check_leases_late,
    check_linearizable,
    check_queues,
    check_rest,
    check_serializable,
    judge,
    timeline,
)
from triode.testing.checkers import requests as r
from triode.testing.checkers.evidence import Log, collect
from triode.testing.checkers.model import Change

SECOND = 1_000_000_000
PUT = r.PutDone()


def kv(value: bytes, mod: int, version: int = 1, lease: int = 0) -> r.KeyValue:
    return r.KeyValue(b"a", 2, mod, version, value, lease)


# --- serializable reads ---------------------------------------------------------------------------

LOG = Log(1, 3, {2: (Change(b"a", kv(b"1", 2)),), 3: (Change(b"a", kv(b"2", 3, 2)),)})


def read(revision: int, *shown: r.KeyValue, at: int = 0) -> Operation:
    request = r.Range(b"a", revision=at, serializable=True)
    return Operation(1, request, 1, 2, r.Got(shown, len(shown)), revision)


@pytest.mark.parametrize(
    "right",
    [
        read(1),
        read(2, kv(b"1", 2)),
        read(3, kv(b"2", 3, 2)),
        read(3, kv(b"1", 2), at=2),
        attrs.evolve(read(3), response=r.Refused("etcdserver: no leader")),
        attrs.evolve(read(3), request=r.Range(b"a")),  # another checker's business
    ],
)
def test_a_read_of_the_past_is_fine(right: Operation) -> None:
    """As long as there was such a past."""
    assert check_serializable([right], Replay.of_log(LOG)) == []


@pytest.mark.parametrize(
    "wrong",
    [read(1, kv(b"1", 2)), read(2), read(3, kv(b"1", 2)), read(4, kv(b"2", 3, 2)), read(3, at=2)],
    ids=["too much", "too little", "old", "future", "historic"],
)
def test_a_read_of_what_never_was_is_found(wrong: Operation) -> None:
    """It does not fit the revision that it names."""
    assert len(check_serializable([wrong], Replay.of_log(LOG))) == 1


# --- leases ---------------------------------------------------------------------------------------


def leased(gone_at: float, *others: Operation) -> History:
    """A key with a lease of 5 s, granted between 1 and 2, that is gone by then."""
    stamp = int(gone_at * SECOND)
    return History(
        [
            Operation(1, r.Grant(7, 5), SECOND, 2 * SECOND, r.Granted(7, 5), 1),
            Operation(1, r.Put(b"a", b"1", 7), 2 * SECOND + 1, 2 * SECOND + 2, PUT, 2),
            *others,
            Operation(2, r.Range(b"a"), stamp - 1, stamp, r.Got(), 3),
        ]
    )


def early(history: History, fastest_clock: float = 1.0) -> list[Violation]:
    found = check_linearizable(history)
    assert found.violations == ()
    return check_leases_early(history, found.order, collect(history), fastest_clock=fastest_clock)


def renewed(call: float, returned: float | None, ttl: int = 5) -> Operation:
    if returned is None:
        return Operation(3, r.KeepAlive(7), int(call * SECOND))
    answer = r.KeptAlive(ttl)
    return Operation(3, r.KeepAlive(7), int(call * SECOND), int(returned * SECOND), answer, 2)


def test_a_lease_ends_after_its_time() -> None:
    """Counted from the moment at which it was asked for."""
    assert early(leased(6.1)) == []
    assert len(early(leased(5.9))) == 1
    assert early(leased(5.9), fastest_clock=1.05) == []
    assert len(early(leased(5.5), fastest_clock=1.05)) == 1


def test_right_clocks_leave_no_tolerance() -> None:
    """Neither to an end that is too early, nor is a lease of an hour judged less exactly."""
    assert len(early(leased(5.999999))) == 1
    assert early(leased(6.0)) == []
    hour = renewed(4, 4.5, ttl=3600)
    assert len(early(leased(3603.9, hour))) == 1
    assert early(leased(3604.1, hour)) == []
    assert early(leased(3603.9, hour), fastest_clock=1.001) == []


def test_a_renewal_counts_if_it_was_acknowledged() -> None:
    """Whoever was told that it succeeded relies on it."""
    assert len(early(leased(8.9, renewed(4, 4.5)))) == 1
    assert early(leased(9.1, renewed(4, 4.5))) == []
    assert early(leased(8.9, renewed(4, None))) == []
    assert early(leased(8.9, renewed(7, 7.5, ttl=0))) == []


def test_whoever_revokes_a_lease_may_end_it() -> None:
    """Even if the answer got lost."""
    revoke = Operation(3, r.Revoke(7), 3 * SECOND)
    assert early(leased(4, revoke)) == []
    late = Operation(3, r.Revoke(7), 5 * SECOND)
    assert len(early(leased(4, late))) == 1


def test_a_lease_that_is_denied_too_early_is_found() -> None:
    """It had no keys, but an answer says that it is gone."""
    grant = Operation(1, r.Grant(7, 5), SECOND, 2 * SECOND, r.Granted(7, 5), 1)
    refused = r.Refused("etcdserver: requested lease not found")
    for request, answer in (
        (r.Put(b"a", b"", 7), refused),
        (r.KeepAlive(7), r.KeptAlive(0)),
    ):
        denied = Operation(2, request, 4 * SECOND, 5 * SECOND, answer)
        assert len(early(History([grant, denied]))) == 1
        later = attrs.evolve(denied, call=6 * SECOND, returned=7 * SECOND)
        assert early(History([grant, later])) == []


def test_a_lease_does_not_live_for_ever() -> None:
    """While a leader is in office it goes some seconds after its time."""
    history = leased(6)
    shown = Operation(2, r.Range(b"a"), 0, 1, r.Got((kv(b"1", 2, lease=7),), 1), 2)
    peace = [Peace(0, 100 * SECOND)]

    def late(at: int, times: list[Peace], *others: Operation) -> int:
        seen = attrs.evolve(shown, call=at * SECOND, returned=at * SECOND + 1)
        return len(check_leases_late(History([*history.operations, *others, seen]), times))

    assert late(10, peace) == 0
    assert late(12, peace) == 1
    assert late(12, []) == 0
    assert late(12, [Peace(5 * SECOND, 100 * SECOND)]) == 0  # a new leader begins anew
    assert late(15, [Peace(5 * SECOND, 100 * SECOND)]) == 1
    assert late(12, peace, renewed(4, 4.5)) == 0
    assert late(12, peace, renewed(4, None)) == 0


def test_lateness_is_measured_on_the_slowest_clock() -> None:
    """5 s of a clock at half the pace are 10, and 4 more are lateness."""
    shown = Operation(2, r.Range(b"a"), 0, 1, r.Got((kv(b"1", 2, lease=7),), 1), 2)
    for at, slowest, found in ((11.1, 1.0, 1), (11.1, 0.5, 0), (15.9, 0.5, 0), (16.1, 0.5, 1)):
        seen = attrs.evolve(shown, call=int(at * SECOND), returned=int(at * SECOND) + 1)
        history = History([*leased(6).operations, seen])
        peace = [Peace(0, 100 * SECOND)]
        assert len(check_leases_late(history, peace, slowest_clock=slowest)) == found


# --- members at rest ------------------------------------------------------------------------------


def test_equal_members_have_equal_hashes() -> None:
    """At equal revisions and equal compact revisions."""
    one = HashSample(1, 9, 4, 0xAB)
    assert check_hashes([one, HashSample(2, 9, 4, 0xAB), HashSample(3, 9, 5, 0xCD)]) == []
    assert len(check_hashes([one, HashSample(2, 9, 4, 0xAC)])) == 1


def test_members_at_rest_are_at_one_revision() -> None:
    """And compacted alike."""
    one = HashSample(1, 9, 4, 0xAB)
    assert check_rest([one, attrs.evolve(one, member=2)]) == []
    assert len(check_rest([one, HashSample(2, 8, 4, 0xAB)])) == 1
    assert len(check_rest([one, HashSample(2, 9, 5, 0xAB)])) == 1


# --- acknowledged writes --------------------------------------------------------------------------


def acknowledged(revision: int, value: bytes = b"1") -> Operation:
    return Operation(1, r.Put(b"a", value), 1, 2, PUT, revision)


def test_acknowledged_writes_are_there() -> None:
    """Runs of the real store have them all."""
    assert check_acknowledged([acknowledged(2), acknowledged(3, b"2")], LOG) == []


@pytest.mark.parametrize(
    "wrong",
    [
        [acknowledged(4)],
        [acknowledged(2, b"2")],
        [acknowledged(2), acknowledged(2)],
        [Operation(1, r.Txn((), (r.Put(b"b"),)), 1, 2, r.TxnDone(True, (PUT,)), 3)],
    ],
    ids=["lost", "another value", "twice", "in a txn"],
)
def test_a_lost_write_is_found(wrong: list[Operation]) -> None:
    """Or one whose place another has taken."""
    assert len(check_acknowledged(wrong, LOG)) == 1


# --- queues ---------------------------------------------------------------------------------------


def test_queues_keep_to_their_bounds() -> None:
    """And empty themselves."""
    assert check_queues([QueueSample(1, "raft", 8, 8), QueueSample(1, "raft", 0, 8, True)]) == []
    assert len(check_queues([QueueSample(1, "raft", 9, 8)])) == 1
    assert len(check_queues([QueueSample(1, "raft", 1, 8, True)])) == 1


# --- the picture ----------------------------------------------------------------------------------


def test_a_picture_shows_who_overlaps_whom() -> None:
    """Each call and each return is a step; what has no end goes on to the right."""
    drawn = timeline(
        [
            Operation(2, r.Range(b"a"), 3, 5, r.Got(), 2),
            Operation(1, r.Put(b"a", b"1"), 1, 4, PUT, 2),
            Operation(3, r.Delete(b"a"), 6),
        ],
        width=10,
    )
    assert drawn.splitlines()[:3] == [
        "├───┤       1: put a=1 → done @2",
        "  ├───┤     2: get a → 0 keys [] @2",
        "        ├─┄ 3: delete a → no answer",
    ]


# --- all together ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_right_run_keeps_all_promises(seed: int, runs: ModuleType) -> None:
    """Everything at once, with the log and without."""
    run = runs.Run(seed, 200, leases=False)
    assert judge(run.history).violations == []
    judgement = judge(run.history, log=run.log)
    assert judgement.violations == []
    assert judgement.decided
    assert str(judgement) == "all promises were kept"


def test_a_wrong_run_is_told(runs: ModuleType) -> None:
    """By each checker that can see it."""
    run = runs.Run(1, 200)
    at = next(n for n, op in enumerate(run.history.operations) if op.response == PUT)
    op = run.history.operations[at]
    run.history.operations[at] = attrs.evolve(op, request=r.Put(b"z", b"?"))
    judgement = judge(run.history, log=run.log)
    assert {one.promise for one in judgement.violations} == {"acknowledged", "linearizable"}


def test_the_checkers_are_pure() -> None:
    """No clock, no chance, no task, no socket; and nothing of the server that they judge."""
    folder = Path(checkers.__file__).parent
    wrong = {"trio", "random", "time", "socket", "threading", "asyncio"}
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not wrong & {alias.name for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert node.level < 2, path
                assert node.level or node.module not in wrong, path
