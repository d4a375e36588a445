"""Histories of the real store are linearizable; the same with one lie in them are not."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.testing.checkers import History, Operation, Verdict, check_linearizable
from triode.testing.checkers import requests as r
from triode.testing.checkers.evidence import Log
from triode.testing.checkers.history import changes_something
from triode.testing.checkers.model import Change, State

PUT = r.PutDone()
HISTORY_SECONDS_MAX = 10.0  # an idle machine takes half a second


def kv(key: bytes, value: bytes, mod: int, create: int = 0, version: int = 1) -> r.KeyValue:
    return r.KeyValue(key, create or mod, mod, version, value)


def got(*kvs: r.KeyValue) -> r.Got:
    return r.Got(tuple(kvs), len(kvs))


def op(
    call: int,
    returned: int | None,
    request: r.Request,
    response: r.Response | None = None,
    revision: int = 0,
) -> Operation:
    """An operation; times are small numbers, and each has a client of its own."""
    return Operation(call, request, call, returned, response, revision)


def check(*operations: Operation, **options: Any) -> Verdict:
    return check_linearizable(History(list(operations)), **options).verdict


# --- by hand ------------------------------------------------------------------------------------


def test_one_after_the_other() -> None:
    """The plainest history."""
    assert (
        check(
            op(1, 2, r.Put(b"a", b"1"), PUT, 2),
            op(3, 4, r.Range(b"a"), got(kv(b"a", b"1", 2)), 2),
            op(5, 6, r.Delete(b"a"), r.Deleted(1), 3),
            op(7, 8, r.Range(b"a"), got(), 3),
        )
        is Verdict.LINEARIZABLE
    )


def test_a_stale_read_is_found() -> None:
    """It began after a write had been acknowledged and was shown the time before."""
    verdict = check(
        op(1, 2, r.Put(b"a", b"1"), PUT, 2),
        op(3, 4, r.Put(b"a", b"2"), PUT, 3),
        op(5, 6, r.Range(b"a"), got(kv(b"a", b"1", 2)), 2),
    )
    assert verdict is Verdict.VIOLATED


def test_a_read_of_the_past_may_overlap_the_write() -> None:
    """Then nobody can say which came first."""
    verdict = check(
        op(1, 2, r.Put(b"a", b"1"), PUT, 2),
        op(3, 8, r.Put(b"a", b"2"), PUT, 3),
        op(5, 6, r.Range(b"a"), got(kv(b"a", b"1", 2)), 2),
    )
    assert verdict is Verdict.LINEARIZABLE


def test_a_lost_write_is_found() -> None:
    """A later read does not know of what was acknowledged."""
    result = check_linearizable(
        History([op(1, 2, r.Put(b"a", b"1"), PUT, 2), op(3, 4, r.Range(b"a"), got(), 1)])
    )
    assert result.verdict is Verdict.VIOLATED
    assert "get a" in result.violations[0].text
    assert "before revision 2 must come" in result.violations[0].text


def test_a_doubled_write_is_found() -> None:
    """A revision that nobody made."""
    assert (
        check(
            op(1, 2, r.Put(b"a", b"1"), PUT, 2),
            op(3, 4, r.Put(b"b", b"1"), PUT, 4),
        )
        is Verdict.VIOLATED
    )


def test_two_writes_of_one_revision_are_found() -> None:
    """As two leaders would make them."""
    assert (
        check(op(1, 5, r.Put(b"a", b"1"), PUT, 2), op(2, 6, r.Put(b"b", b"1"), PUT, 2))
        is Verdict.VIOLATED
    )


def test_what_nobody_answered_may_have_happened() -> None:
    """Or not, or later."""
    lost = op(1, None, r.Put(b"a", b"1"))
    assert check(lost, op(3, 4, r.Range(b"a"), got(), 1)) is Verdict.LINEARIZABLE
    seen = op(3, 4, r.Range(b"a"), got(kv(b"a", b"1", 2)), 2)
    assert check(lost, seen) is Verdict.LINEARIZABLE
    later = op(5, 6, r.Put(b"b", b""), PUT, 3)
    assert check(lost, later) is Verdict.LINEARIZABLE
    assert check(lost, op(3, 4, r.Range(b"a"), got(), 1), seen) is Verdict.LINEARIZABLE


def test_it_happens_once_at_most() -> None:
    """One lost write cannot explain two revisions."""
    assert (
        check(op(1, None, r.Put(b"a", b"1")), op(3, 4, r.Put(b"b", b""), PUT, 4))
        is Verdict.VIOLATED
    )


def test_it_does_not_happen_before_it_was_asked_for() -> None:
    """A value cannot be read before anybody wrote it."""
    assert (
        check(
            op(1, 2, r.Range(b"a"), got(kv(b"a", b"1", 2)), 2),
            op(3, None, r.Put(b"a", b"1")),
        )
        is Verdict.VIOLATED
    )


def test_what_surely_failed_did_not_happen() -> None:
    """A read that shows it is a violation."""
    failed = attrs.evolve(op(1, None, r.Put(b"a", b"1")), failed=True)
    seen = op(3, 4, r.Range(b"a"), got(kv(b"a", b"1", 2)), 2)
    assert check(failed, seen) is Verdict.VIOLATED


@pytest.mark.parametrize(
    "wrong",
    [
        kv(b"a", b"2", 2),
        kv(b"a", b"1", 2, version=2),
        kv(b"a", b"1", 2, create=1),
        r.KeyValue(b"a", 2, 2, 1, b"1", 7),
    ],
    ids=["value", "version", "creation", "lease"],
)
def test_each_field_of_a_key_counts(wrong: r.KeyValue) -> None:
    """A read is compared whole."""
    verdict = check(op(1, 2, r.Put(b"a", b"1"), PUT, 2), op(3, 4, r.Range(b"a"), got(wrong), 2))
    assert verdict is Verdict.VIOLATED


def test_transactions_choose_their_path() -> None:
    """Of two that compare-and-put at once, one can win."""
    swap = r.Txn((r.Compare(b"a", r.MOD, r.EQUAL, 0),), (r.Put(b"a", b"1"),))
    won, lost = r.TxnDone(True, (PUT,)), r.TxnDone(False)
    assert check(op(1, 9, swap, won, 2), op(2, 8, swap, lost, 2)) is Verdict.LINEARIZABLE
    assert check(op(1, 9, swap, won, 2), op(2, 8, swap, won, 3)) is Verdict.VIOLATED
    assert check(op(1, 9, swap, lost, 1), op(2, 8, swap, lost, 1)) is Verdict.VIOLATED


def test_a_lease_may_end_by_itself() -> None:
    """But only one that there is."""
    grant = op(1, 2, r.Grant(7, 5), r.Granted(7, 5), 1)
    put = op(3, 4, r.Put(b"a", b"1", 7), PUT, 2)
    gone = op(5, 6, r.Range(b"a"), got(), 3)
    assert check(grant, put, gone) is Verdict.LINEARIZABLE
    assert check(grant, op(3, 4, r.Put(b"a", b"1"), PUT, 2), gone) is Verdict.VIOLATED
    assert check(put, gone) is Verdict.VIOLATED
    refused = op(7, 8, r.Put(b"a", b"1", 7), r.Refused("etcdserver: requested lease not found"))
    assert check(grant, put, gone, refused) is Verdict.LINEARIZABLE
    again = op(9, 10, r.Put(b"a", b"1", 7), PUT, 4)
    assert check(grant, put, gone, refused, again) is Verdict.VIOLATED


def test_a_lost_grant_is_proven_by_a_put() -> None:
    """It is of use to a client that chose the ID."""
    lost = op(1, None, r.Grant(7, 5))
    put = op(3, 4, r.Put(b"a", b"1", 7), PUT, 2)
    assert check(lost, put) is Verdict.LINEARIZABLE
    refusal = r.Refused("etcdserver: requested lease not found")
    refused = op(5, 6, r.Put(b"a", b"1", 7), refusal)
    assert check(lost, put, refused) is Verdict.LINEARIZABLE  # it has expired
    there = op(7, 8, r.Range(b"a"), got(r.KeyValue(b"a", 2, 2, 1, b"1", 7)), 2)
    assert check(lost, put, refused, there) is Verdict.VIOLATED


def test_compaction_hides_the_past() -> None:
    """At once for everybody, and not without somebody asking."""
    writes = [op(1, 2, r.Put(b"a", b"1"), PUT, 2), op(3, 4, r.Put(b"a", b"2"), PUT, 3)]
    old = op(7, 8, r.Range(b"a", revision=2), got(kv(b"a", b"1", 2)), 3)
    compacted = r.Refused("etcdserver: mvcc: required revision has been compacted")
    refused = op(9, 10, r.Range(b"a", revision=2), compacted)
    asked = op(5, 6, r.Compact(3), r.Compacted(), 3)
    assert check(*writes, old) is Verdict.LINEARIZABLE
    assert check(*writes, asked, refused) is Verdict.LINEARIZABLE
    assert check(*writes, op(5, None, r.Compact(3)), old, refused) is Verdict.LINEARIZABLE
    assert check(*writes, asked, old) is Verdict.VIOLATED
    assert check(*writes, refused) is Verdict.VIOLATED


def test_a_read_of_an_old_revision_shows_it() -> None:
    """And nothing else."""
    writes = [op(1, 2, r.Put(b"a", b"1"), PUT, 2), op(3, 4, r.Put(b"b", b"2"), PUT, 3)]
    right = op(5, 6, r.Range(b"\0", b"\0", revision=2), got(kv(b"a", b"1", 2)), 3)
    wrong = op(5, 6, r.Range(b"\0", b"\0", revision=2), got(), 3)
    assert check(*writes, right) is Verdict.LINEARIZABLE
    assert check(*writes, wrong) is Verdict.VIOLATED


def test_a_store_that_was_not_empty() -> None:
    """The state before the first operation is handed in."""
    before = State(9, 5, {b"a": kv(b"a", b"1", 8)})
    read = op(1, 2, r.Range(b"a"), got(kv(b"a", b"1", 8)), 9)
    assert check(read, initial=before) is Verdict.LINEARIZABLE
    assert check(read) is Verdict.VIOLATED


def test_the_log_decides_what_became_of_lost_writes() -> None:
    """It knows more than any read."""
    lost = [op(1, None, r.Put(b"a", b"1")), op(2, None, r.Put(b"b", b"2"))]
    change = Change(b"b", kv(b"b", b"2", 2))
    assert check(*lost, log=Log(1, 2, {2: (change,)})) is Verdict.LINEARIZABLE
    other = Change(b"c", kv(b"c", b"2", 2))
    assert check(*lost, log=Log(1, 2, {2: (other,)})) is Verdict.VIOLATED
    known = op(3, 4, r.Put(b"c", b"3"), PUT, 2)
    assert check(known, log=Log(1, 1, {})) is Verdict.VIOLATED


def test_what_two_were_shown_of_a_revision_agrees() -> None:
    """Else members have diverged, and no order need be looked for."""
    result = check_linearizable(
        History(
            [
                op(1, 9, r.Put(b"a", b"1"), PUT, 2),
                op(2, 3, r.Range(b"a", serializable=True), got(kv(b"a", b"1", 2)), 2),
                op(4, 5, r.Range(b"a", serializable=True), got(kv(b"a", b"x", 2)), 2),
            ]
        )
    )
    assert [found.promise for found in result.violations] == ["agreement"]


def test_too_hard_a_search_is_given_up() -> None:
    """And said to be undecided, which is no verdict."""
    lost = [op(n, None, r.Put(b"k%d" % n, b"")) for n in range(1, 30)]
    last = op(50, 51, r.Range(b"a"), got(kv(b"b", b"", 3)), 3)
    assert check(*lost, last, steps_max=100) is Verdict.UNDECIDED


# --- of the real store ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_runs_of_the_real_store_are_linearizable(seed: int, runs: ModuleType) -> None:
    """Whatever overlaps, is lost or expires."""
    run = runs.Run(seed, 250, clients=2 + seed % 9, unknown=(seed % 5) * 0.03)
    result = check_linearizable(run.history)
    assert result.verdict is Verdict.LINEARIZABLE, result.violations
    assert result.replay is not None
    for revision in range(2, result.replay.last + 1):
        if all(item.known for item in run.history.operations):
            assert result.replay.changes(revision) == run.changes[revision]
    logged = check_linearizable(run.history, log=run.log)
    assert logged.verdict is Verdict.LINEARIZABLE, logged.violations
    assert logged.replay is not None
    shared = {n: logged.replay.changes(n) for n in range(2, logged.replay.last + 1)}
    assert shared == {n: run.changes[n] for n in shared}


def test_thousands_of_operations_are_decided_in_seconds(runs: ModuleType) -> None:
    """With a hundred of unknown result."""
    run = runs.Run(1, 4000, clients=20, unknown=0.03)
    assert sum(not item.known for item in run.history.operations) > 100
    started = time.perf_counter()
    assert check_linearizable(run.history).verdict is Verdict.LINEARIZABLE
    assert time.perf_counter() - started < HISTORY_SECONDS_MAX


def lie_about_the_revision(item: Operation) -> Operation | None:
    if not changes_something(item.response):
        return None  # a read might well have been later
    return attrs.evolve(item, revision=item.revision + 1)


def lie_about_the_answer(item: Operation) -> Operation | None:
    """Show another value, or none."""
    match item.response:
        case r.Got(kvs=(first, *others), count=count, more=more):
            changed = first._replace(value=first.value + b"!")
            return attrs.evolve(item, response=r.Got((changed, *others), count, more))
        case r.Got(kvs=()) if not getattr(item.request, "count_only", True):
            invented = kv(item.request.key, b"?", 2)  # type: ignore[union-attr]
            return attrs.evolve(item, response=got(invented))
        case r.Deleted(count=count):
            return attrs.evolve(item, response=r.Deleted(count + 1))
        case r.TxnDone(succeeded=succeeded, results=results):
            return attrs.evolve(item, response=r.TxnDone(not succeeded, results))
    return None


def lie_about_the_time(item: Operation) -> Operation | None:
    """The answer came before everything: only what needs nothing can have been so early."""
    if item.revision < 4 or item.returned is None:
        return None
    return attrs.evolve(item, call=-2, returned=-1)


def lie_about_the_effect(item: Operation) -> Operation | None:
    """It was acknowledged, but did something else."""
    if isinstance(item.request, r.Put) and isinstance(item.response, r.PutDone):
        other = attrs.evolve(item.request, key=b"elsewhere")
        return attrs.evolve(item, request=other)
    return None


LIES = [lie_about_the_revision, lie_about_the_answer, lie_about_the_time]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000), lie=st.sampled_from(LIES))
def test_one_lie_is_found(data: st.DataObject, seed: int, lie: Any, runs: ModuleType) -> None:
    """A run of the real store in which one answer is changed."""
    run = runs.Run(seed, 80, clients=4, unknown=0)
    found = run.history.operations
    changed = [(at, lie(item)) for at, item in enumerate(found) if lie(item) is not None]
    if not changed:
        return
    at, lying = data.draw(st.sampled_from(changed))
    history = History([*found[:at], lying, *found[at + 1 :]])
    assert check_linearizable(history, log=run.log).verdict is Verdict.VIOLATED


@settings(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_a_put_that_did_something_else_is_found(
    data: st.DataObject, seed: int, runs: ModuleType
) -> None:
    """Its key is not in the log where the answer says it is."""
    run = runs.Run(seed, 80, clients=4, unknown=0)
    found = run.history.operations
    puts = [at for at, item in enumerate(found) if lie_about_the_effect(item)]
    at = data.draw(st.sampled_from(puts))
    lying = lie_about_the_effect(found[at])
    history = History([*found[:at], lying, *found[at + 1 :]])  # type: ignore[list-item]
    assert check_linearizable(history, log=run.log).verdict is Verdict.VIOLATED


def test_the_explanation_is_of_the_first_that_cannot_be(runs: ModuleType) -> None:
    """However long the history goes on after it."""
    run = runs.Run(7, 600, clients=4, unknown=0.02)
    found = run.history.operations
    at = next(
        n
        for n, item in enumerate(found)
        if n > 200 and isinstance(item.response, r.Got) and item.response.kvs
    )
    lying = attrs.evolve(found[at], response=r.Got())
    history = History([*found[:at], lying, *found[at + 1 :]])
    result = check_linearizable(history)
    assert result.verdict is Verdict.VIOLATED
    text = result.violations[0].text
    assert f"client {lying.client} " in text
    assert "here it had to be answered" in text
    assert len(text.splitlines()) < 60
    assert f" {lying.client}: get" in text  # in the picture
    assert lying in [item.operation for item in result.window]
