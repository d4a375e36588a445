"""Watches of the real store keep every promise; each way of breaking one is found, and under its name."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import attrs
import pytest

from triode.testing.checkers import (
    Event,
    Operation,
    Replay,
    Violation,
    Watch,
    WatchRequest,
    WatchResponse,
    check_watches,
)
from triode.testing.checkers import requests as r

ALL = WatchRequest(b"\0", b"\0", start_revision=2, prev_kv=True)
SOME = WatchRequest(b"e/", b"e0", start_revision=2)


@pytest.fixture(scope="module")
def run(runs: ModuleType) -> Any:
    return runs.Run(3, 300, compact=False)


@pytest.fixture
def replay(run: Any) -> Replay:
    return Replay.of_log(run.log)


def promises(found: list[Violation]) -> set[str]:
    return {one.promise.removeprefix("watch: ") for one in found}


@pytest.mark.parametrize("seed", range(15))
def test_right_watches_are_right(seed: int, runs: ModuleType) -> None:
    """Of all keys, of a range, filtered, from the middle, with notifications."""
    run = runs.Run(seed, 150)
    replay = Replay.of_log(run.log)
    requests = [
        ALL,
        SOME,
        attrs.evolve(ALL, no_put=True),
        attrs.evolve(ALL, no_delete=True),
        attrs.evolve(SOME, start_revision=0),
        attrs.evolve(ALL, start_revision=20),
    ]
    watches = [run.watch(request, progress=True) for request in requests]
    assert check_watches(watches, replay, run.history.operations) == []


def swap(watch: Watch) -> None:
    """Two responses in the wrong order."""
    at = next(n for n, one in enumerate(watch.responses) if one.events) + 3
    first, second = watch.responses[at], watch.responses[at + 1]
    watch.responses[at] = attrs.evolve(first, events=second.events, revision=second.revision)
    watch.responses[at + 1] = attrs.evolve(second, events=first.events)


def full(watch: Watch) -> int:
    """The place of a response in the middle with events."""
    with_events = [n for n, one in enumerate(watch.responses) if one.events]
    return with_events[len(with_events) // 2]


def repeat(watch: Watch) -> None:
    """One event told again."""
    at = full(watch)
    one = watch.responses[at]
    watch.responses[at] = attrs.evolve(one, events=(*one.events, one.events[-1]))


def lose(watch: Watch) -> None:
    """One event not told."""
    at = full(watch)
    one = watch.responses[at]
    watch.responses[at] = attrs.evolve(one, events=one.events[1:])


def lose_the_first(watch: Watch) -> None:
    """The first event not told."""
    at = next(n for n, one in enumerate(watch.responses) if one.events)
    one = watch.responses[at]
    watch.responses[at] = attrs.evolve(one, events=one.events[1:])


def lose_the_end(watch: Watch) -> None:
    """The last response never came, although there was time."""
    at = max(n for n, one in enumerate(watch.responses) if one.events)
    del watch.responses[at:]


def split(watch: Watch) -> None:
    """A revision of several changes in two responses."""
    for at, one in enumerate(watch.responses):
        for cut in range(1, len(one.events)):
            if one.events[cut - 1].kv.mod_revision == one.events[cut].kv.mod_revision:
                parts = one.events[:cut], one.events[cut:]
                watch.responses[at : at + 1] = [attrs.evolve(one, events=part) for part in parts]
                return
    raise AssertionError("no revision has several changes")


def notify_early(watch: Watch) -> None:
    """A notification of a revision that is told only afterwards."""
    at = full(watch)
    one = watch.responses[at]
    note = WatchResponse(one.stamp, one.events[-1].kv.mod_revision, progress=True)
    watch.responses.insert(at, note)


def notify_back(watch: Watch) -> None:
    """A notification that goes back."""
    one = watch.responses[-1]
    watch.responses.append(WatchResponse(one.stamp, 3, progress=True))


def change_value(watch: Watch) -> None:
    """An event with another value."""
    change(watch, lambda e: attrs.evolve(e, kv=e.kv._replace(value=b"?")), lambda e: not e.deleted)


def change_previous(watch: Watch) -> None:
    """An event with another previous value."""
    change(
        watch,
        lambda e: attrs.evolve(e, prev=e.prev._replace(value=b"?")),  # type: ignore[union-attr]
        lambda e: e.prev is not None,
    )


def lose_previous(watch: Watch) -> None:
    """An event without its previous value, and nothing was compacted."""
    change(watch, lambda e: attrs.evolve(e, prev=None), lambda e: e.prev is not None)


def deny_creation(watch: Watch) -> None:
    """A creation that looks like a change."""
    change(
        watch,
        lambda e: attrs.evolve(e, kv=e.kv._replace(create_revision=2)),
        lambda e: e.created and e.kv.mod_revision > 2,
    )


def claim_creation(watch: Watch) -> None:
    """A change that looks like a creation."""
    change(
        watch,
        lambda e: attrs.evolve(e, kv=e.kv._replace(create_revision=e.kv.mod_revision)),
        lambda e: not e.deleted and not e.created,
    )


def tell_the_unasked(watch: Watch) -> None:
    """An event of a key outside the range."""
    change(watch, lambda e: attrs.evolve(e, kv=e.kv._replace(key=b"zzz")), lambda _: True)


def be_canceled(watch: Watch) -> None:
    """Ended by a compaction that nobody asked for."""
    last = watch.responses[-1]
    watch.settled = 0
    end = WatchResponse(last.stamp + 1, 0, canceled=True, compact_revision=last.revision + 9)
    watch.responses.append(end)


def lag_in_the_header(watch: Watch) -> None:
    """A response that says the store is older than what it tells."""
    at = full(watch)
    one = watch.responses[at]
    watch.responses[at] = attrs.evolve(one, revision=one.events[-1].kv.mod_revision - 1)


def change(watch: Watch, how: Callable[[Event], Event], where: Callable[[Event], bool]) -> None:
    for at, one in enumerate(watch.responses):
        for number, event in enumerate(one.events):
            if where(event):
                events = [*one.events[:number], how(event), *one.events[number + 1 :]]
                watch.responses[at] = attrs.evolve(one, events=tuple(events))
                return
    raise AssertionError("there is no such event")


@pytest.mark.parametrize(
    ("request_", "break_", "promise"),
    [
        (ALL, swap, "ordered"),
        (ALL, lag_in_the_header, "ordered"),
        (ALL, repeat, "unique"),
        (ALL, lose, "reliable"),
        (ALL, lose_the_first, "resumable"),
        (ALL, lose_the_end, "reliable"),
        (ALL, split, "atomic"),
        (ALL, notify_early, "bookmarkable"),
        (ALL, notify_back, "bookmarkable"),
        (ALL, change_value, "reliable"),
        (ALL, change_previous, "previous value"),
        (ALL, lose_previous, "previous value"),
        (ALL, deny_creation, "creation"),
        (ALL, claim_creation, "creation"),
        (ALL, be_canceled, "resumable"),
        (SOME, tell_the_unasked, "filtered"),
        (attrs.evolve(ALL, no_put=True), tell_the_unasked, "reliable"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_each_lie_is_found(
    request_: WatchRequest,
    break_: Callable[[Watch], None],
    promise: str,
    run: Any,
    replay: Replay,
) -> None:
    """Under the name of the promise that was broken."""
    watch = run.watch(request_, progress=False)
    assert check_watches([watch], replay, run.history.operations) == []
    break_(watch)
    assert promise in promises(check_watches([watch], replay, run.history.operations))


def test_puts_that_were_filtered_out_are_not_told(run: Any) -> None:
    """A watch alone shows it, no replay is needed."""
    watch = run.watch(ALL)
    watch.request = attrs.evolve(ALL, no_put=True)
    assert promises(check_watches([watch])) == {"filtered"}


def test_an_event_from_before_the_start_is_found(run: Any, replay: Replay) -> None:
    """As a member that was restored once sent them."""
    watch = run.watch(ALL)
    watch.request = attrs.evolve(ALL, start_revision=9)
    assert "filtered" in promises(check_watches([watch], replay))


def test_a_watch_from_now_on_begins_after_its_creation(run: Any, replay: Replay) -> None:
    """The created response says what now is."""
    watch = run.watch(attrs.evolve(ALL, start_revision=0))
    assert check_watches([watch], replay) == []
    lose_the_first(watch)
    assert promises(check_watches([watch], replay)) == {"reliable"}


def test_an_event_of_a_revision_that_never_was_is_found(run: Any, replay: Replay) -> None:
    """Uncommitted, and told."""
    watch = run.watch(ALL)
    last = replay.last + 1
    event = Event(False, r.KeyValue(b"a", last, last, 1, b"x"))
    watch.responses.append(WatchResponse(watch.responses[-1].stamp + 1, last, (event,)))
    assert "reliable" in promises(check_watches([watch], replay))


def test_compaction_excuses_a_missing_previous_value(run: Any, replay: Replay) -> None:
    """If it was asked for before the event was told."""
    watch = run.watch(ALL)
    lose_previous(watch)
    compaction = Operation(1, r.Compact(replay.last), 1, 2, r.Compacted(), replay.last)
    assert check_watches([watch], replay, [compaction]) == []
    late = attrs.evolve(compaction, call=10**9, returned=10**9 + 1)
    assert promises(check_watches([watch], replay, [late])) == {"previous value"}


def test_compaction_ends_a_watch_that_lags(run: Any, replay: Replay) -> None:
    """But not one that had told everything."""
    compaction = Operation(1, r.Compact(40), 1, 2, r.Compacted(), 50)
    watch = Watch(1, attrs.evolve(ALL, start_revision=30), 3)
    watch.responses.append(WatchResponse(4, 50, created=True))
    watch.responses.append(WatchResponse(5, 0, canceled=True, compact_revision=40))
    assert check_watches([watch], replay, [compaction]) == []
    watch.responses.insert(1, WatchResponse(5, 45, progress=True))
    found = promises(check_watches([watch], replay, [compaction]))
    assert "resumable" in found
    del run
