"""What etcd promises of watches, each promise as a function of its own.

Ordered, unique, atomic, bookmarkable and filtered can be seen from one watch alone; reliable, resumable and right
(previous values, creations) are held against the one history. See etcd's "KV API guarantees".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from .describe import describe_event, describe_kv, text_of
from .history import Event, Operation, Watch, WatchResponse, seconds
from .replay import Replay
from .requests import Compact, KeyValue, Refused
from .violation import Violation

__all__ = ["check_watches"]

DIFFERENCES_MAX = 5


def check_watches(
    watches: Iterable[Watch], replay: Replay | None = None, operations: Iterable[Operation] = ()
) -> list[Violation]:
    """Judge watches.

    Args:
        watches: what they told.
        replay: the one history; None: only what can be seen from a watch alone.
        operations: the run's operations, of which compactions matter: they may end a watch and take
            away previous values.
    """
    compactions = [
        op
        for op in operations
        if isinstance(op.request, Compact)
        and not op.failed
        and not isinstance(op.response, Refused)
    ]
    found = []
    for watch in watches:
        for promise, rule in ALONE.items():
            found += [Violation(f"watch: {promise}", _at(watch, text)) for text in rule(watch)]
        if replay is not None:
            against = Against(replay, compactions)
            for promise, judge in REPLAYED.items():
                texts = judge(watch, against)
                found += [Violation(f"watch: {promise}", _at(watch, text)) for text in texts]
    return found


def _at(watch: Watch, text: str) -> str:
    request = watch.request
    span = text_of(request.key) + (f"…{text_of(request.end)}" if request.end else "")
    return f"{text}\n  client {watch.client}, watch of {span} from {request.start_revision}"


# --- what a watch shows by itself -----------------------------------------------------------------


def _ordered(watch: Watch) -> Iterator[str]:
    """Revisions never go back, and no response is older than what it tells."""
    last = 0
    for response in watch.responses:
        for event in response.events:
            if event.kv.mod_revision < last:
                yield f"{describe_event(event)} came after revision {last}"
            last = max(last, event.kv.mod_revision)
        if response.events and response.revision and response.revision < last:
            yield f"a response with revision {last} says that the store is at {response.revision}"


def _unique(watch: Watch) -> Iterator[str]:
    """No change is told twice; a txn that deletes a key and puts it makes two changes of it."""
    told: set[tuple[int, bytes, bool]] = set()
    for event in watch.events:
        one = event.kv.mod_revision, event.kv.key, event.deleted
        if one in told:
            yield f"{describe_event(event)} came twice"
        told.add(one)


def _atomic(watch: Watch) -> Iterator[str]:
    """A revision is never split over responses, unless fragments were asked for and are marked."""
    last, open_ = 0, False
    for response in watch.responses:
        if not response.events:
            continue
        first = response.events[0].kv.mod_revision
        if first == last and not open_:
            yield f"revision {last} was split"
        last, open_ = response.events[-1].kv.mod_revision, response.fragment
        if response.fragment and not watch.request.fragment:
            yield f"a fragment of revision {last}, which was not asked for"


def _bookmarkable(watch: Watch) -> Iterator[str]:
    """After a progress notification of a revision nothing up to it comes any more."""
    noted, told = 0, 0
    for response in watch.responses:
        for event in response.events:
            told = event.kv.mod_revision
            if told <= noted:
                yield f"{describe_event(event)} came after a notification of {noted}"
        if response.progress:
            if response.revision < max(noted, told):
                yield f"a notification of {response.revision} came after revision {max(noted, told)}"
            noted = max(noted, response.revision)


def _filtered(watch: Watch) -> Iterator[str]:
    """Only what was asked for, and nothing from before the start."""
    for event in watch.events:
        if not watch.request.wants(event.kv.key, event.deleted):
            yield f"{describe_event(event)} was not asked for"
        elif event.kv.mod_revision < watch.request.start_revision:
            yield f"{describe_event(event)} is from before the start"


ALONE: dict[str, Callable[[Watch], Iterator[str]]] = {
    "ordered": _ordered,
    "unique": _unique,
    "atomic": _atomic,
    "bookmarkable": _bookmarkable,
    "filtered": _filtered,
}


# --- what it must have shown ----------------------------------------------------------------------


@attrs.frozen
class Against:
    """What a watch is held against."""

    replay: Replay
    compactions: list[Operation]

    def compacted(self, revision: int, stamp: int) -> bool:
        """Whether a revision may have been compacted by then."""
        return any(
            isinstance(op.request, Compact) and op.request.revision >= revision and op.call < stamp
            for op in self.compactions
        )


def _first_revision(watch: Watch) -> int:
    """From where on it has to tell everything; 0 if it was never created."""
    if watch.request.start_revision:
        return watch.request.start_revision
    created = next((one for one in watch.responses if one.created and not one.canceled), None)
    return created.revision + 1 if created else 0


def _last_revision(watch: Watch) -> int:
    """Up to where it has told everything, by its own account or because it had the time to."""
    last = watch.settled
    for response in watch.responses:
        if response.progress:
            last = max(last, response.revision)
        if response.events and not response.fragment:
            last = max(last, response.events[-1].kv.mod_revision)
    return last


def _reliable(watch: Watch, against: Against) -> Iterator[str]:
    """No event is missing, and none is made up: what was told is what happened, all of it."""
    first, last = _first_revision(watch), _last_revision(watch)
    if not first:
        if watch.events:
            yield "events before it was created"
        return
    if any(event.kv.mod_revision > against.replay.last for event in watch.events):
        yield f"it tells of revisions after {against.replay.last}, the last there is"
    known = against.replay.first
    expected = [
        (revision, key, kv)
        for revision, (key, kv) in against.replay.told(watch.request, first, last)
    ]
    told = [
        (event.kv.mod_revision, event.kv.key, None if event.deleted else event.kv)
        for event in watch.events
        if known < event.kv.mod_revision <= last
    ]
    if told == expected:
        return
    # etcd leaves it open whether the changes of the compact revision itself are still there
    missing = [one for one in expected if one not in set(told)]
    wrong = [one for one in told if one not in set(expected)]
    for revision, key, kv in missing[:DIFFERENCES_MAX]:
        yield f"revision {revision} is missing: {_shown(key, kv)}"
    for revision, key, kv in wrong[:DIFFERENCES_MAX]:
        yield f"revision {revision} is made up: {_shown(key, kv)}"
    if not missing and not wrong:
        yield "events of one revision are in the wrong order, or doubled"


def _shown(key: bytes, kv: KeyValue | None) -> str:
    return f"PUT {describe_kv(kv)}" if kv else f"DELETE {text_of(key)}"


def _resumable(watch: Watch, against: Against) -> Iterator[str]:
    """A watch from a revision begins with the first change from there on; and only compaction ends it."""
    start = watch.request.start_revision
    first = next(iter(watch.events), None)
    if start and first is not None:
        expected = against.replay.told(watch.request, start, first.kv.mod_revision)
        if expected and expected[0][0] != first.kv.mod_revision:
            yield f"it begins with {first.kv.mod_revision} and not with {expected[0][0]}"
    for response in watch.responses:
        if response.canceled and response.compact_revision:
            yield from _ended(watch, response, against)


def _ended(watch: Watch, end: WatchResponse, against: Against) -> Iterator[str]:
    compact = end.compact_revision
    if not against.compacted(compact, end.stamp):
        yield f"it was ended by a compaction at {compact}, which nobody asked for"
    told = _last_revision(attrs.evolve(watch, settled=0))
    if max(told + 1, _first_revision(watch)) >= compact:
        yield f"it had told everything up to {told}, and was ended by a compaction at {compact}"


def _previous(watch: Watch, against: Against) -> Iterator[str]:
    """Previous values are those of the revision before; absent only if there was none, or it is gone."""
    replay = against.replay
    for response in watch.responses:
        for event in response.events:
            revision, key = event.kv.mod_revision, event.kv.key
            if revision - 1 < replay.first or revision > replay.last:
                continue
            before = replay.at(key, revision - 1)
            if event.prev is None:
                gone = against.compacted(revision, response.stamp)
                if (
                    watch.request.prev_kv
                    and before is not None
                    and not gone
                    and not _doubled(event, watch)
                ):
                    yield f"{describe_event(event)} lacks what was before: {describe_kv(before)}"
            elif event.prev != before:
                shown = describe_kv(before) if before else "nothing"
                yield f"{describe_event(event)} follows {shown}, not {describe_kv(event.prev)}"


def _doubled(event: Event, watch: Watch) -> bool:
    """Whether the same txn deleted the key just before."""
    return event.created and any(
        other.deleted and other.kv == KeyValue(event.kv.key, 0, event.kv.mod_revision, 0, b"")
        for other in watch.events
    )


def _created(watch: Watch, against: Against) -> Iterator[str]:
    """A put is a creation exactly if the key did not exist."""
    replay = against.replay
    for event in watch.events:
        revision = event.kv.mod_revision
        if event.deleted or not replay.first < revision <= replay.last:
            continue
        existed = replay.at(event.kv.key, revision - 1) is not None
        if event.created == existed and not _doubled(event, watch):
            word = "existed" if existed else "did not exist"
            yield f"{describe_event(event)}, but the key {word} before"


def _timely(watch: Watch, against: Against) -> Iterator[str]:
    """Responses come in the order of time (a check of the record more than of the server)."""
    del against
    last = watch.call
    for response in watch.responses:
        if response.stamp < last:
            yield f"a response at {seconds(response.stamp)} after one at {seconds(last)}"
        last = response.stamp


REPLAYED: dict[str, Callable[[Watch, Against], Iterator[str]]] = {
    "reliable": _reliable,
    "resumable": _resumable,
    "previous value": _previous,
    "creation": _created,
    "timely": _timely,
}
