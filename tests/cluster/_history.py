"""What clients did and were told, and whether one order of all of it explains it.

Every answer of etcd's API has the revision of the store, so no search is needed: the changes have an order (their
revisions), and a read tells where it stands in it. The history is linearizable if

- each change that was told is the change of that revision, and no change is one that nobody asked for, or asked
  for after it was there, or asked for once and there twice;
- a read tells what the store had at its revision;
- nothing that began after something else was answered is before it: a later change has a greater revision, a
  later linearizable read at least the same.
"""

from __future__ import annotations

import bisect
import itertools
import queue
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from triode.rpc.pb.rpc_pb2 import WatchCreateRequest, WatchRequest
from triode.testing import checkers
from triode.testing.checkers import requests as r
from triode.testing.checkers.model import Change
from triode.testing.workload import messages

EVERYTHING = b"\0"  # as key and as range_end

Changes = dict[bytes, "bytes | None"]
Events = Mapping[int, Changes]
"""The changes of each revision; None: deleted."""


@attrs.define(eq=False)
class Operation:
    """One request to one member. Times are of the monotonic clock, in nanoseconds."""

    client: int
    endpoint: str
    kind: str
    """put, delete, get, serializable, or swap: a put if the key's revision is as expected."""
    key: bytes
    value: bytes | None
    called: int
    returned: int | None = None
    """None: no answer, or one that leaves open whether it happened."""
    revision: int = 0
    changed: bool = False
    found: bytes | None = None
    error: str = ""
    request: r.Request | None = None
    answer: r.Response | None = None
    """What was sent last and what it was answered with, as the checkers want it."""

    @property
    def changes(self) -> Changes:
        """What it does if it does anything."""
        return {self.key: None if self.kind == "delete" else self.value}


class Violation(AssertionError):
    """The history has no explanation."""


def watch_all(client: Any, end: int) -> list[Any]:
    """All responses of a watch of everything, from the beginning up to revision `end`."""
    found: list[Any] = []
    last = 1
    requests: queue.Queue[Any] = queue.Queue()
    create = WatchCreateRequest(key=EVERYTHING, range_end=EVERYTHING, start_revision=1)
    requests.put(WatchRequest(create_request=create))
    stream = client.stream("Watch/Watch", iter(requests.get, None))
    for response in stream:
        assert not response.canceled, response
        found.append(response)
        last = max([last, *(event.kv.mod_revision for event in response.events)])
        if last >= end:
            break
    requests.put(None)
    stream.cancel()
    return found


def events_of(responses: Iterable[Any]) -> dict[int, Changes]:
    """What each revision changed, as a watch of everything tells."""
    found: dict[int, Changes] = {}
    for response in responses:
        for event in response.events:
            value = None if event.type else event.kv.value
            found.setdefault(event.kv.mod_revision, {})[event.kv.key] = value
    return found


def check(operations: Iterable[Operation], events: Events) -> None:
    """Raise `Violation` if the history is not linearizable; `events` are all from revision 2 on."""
    every = list(operations)
    if events and sorted(events) != list(range(min(events), max(events) + 1)):
        raise Violation("a revision is left out")
    _check_changes(every, events)
    _check_reads(every, events)
    _check_order(every)


def _check_changes(operations: list[Operation], events: Events) -> None:
    told: set[int] = set()
    for one in operations:
        if one.returned is None or not one.changed:
            continue
        if one.revision in told:
            raise Violation(f"revision {one.revision} was told twice: {one}")
        told.add(one.revision)
        if events.get(one.revision) != one.changes:
            raise Violation(f"revision {one.revision} is {events.get(one.revision)}, not {one}")
    untold = [one for one in operations if one.returned is None and one.kind in CHANGING]
    keys = {one.key for one in operations}
    for revision, changes in events.items():
        if revision in told or not keys & set(changes):
            continue  # of somebody who keeps no history
        asked = next((one for one in untold if one.changes == changes), None)
        if asked is None:
            raise Violation(f"nobody who knows no answer asked for revision {revision}: {changes}")
        untold.remove(asked)
        asked.revision = revision  # it happened; its end stays unknown


CHANGING = ("put", "delete", "swap")


def _check_reads(operations: list[Operation], events: Events) -> None:
    history: dict[bytes, list[tuple[int, bytes | None]]] = defaultdict(list)
    for revision in sorted(events):
        for key, value in events[revision].items():
            history[key].append((revision, value))
    for one in operations:
        if one.returned is None or one.changed:
            continue  # a delete that found nothing is a read, too
        before = bisect.bisect_right(history[one.key], one.revision, key=lambda pair: pair[0])
        value = history[one.key][before - 1][1] if before else None
        if one.found != value:
            raise Violation(f"at revision {one.revision} the value was {value!r}: {one}")


def _check_order(operations: list[Operation]) -> None:
    answered = sorted(
        (one for one in operations if one.returned is not None and one.kind != "serializable"),
        key=lambda one: one.returned or 0,
    )
    floors = list(itertools.accumulate((one.revision for one in answered), max))
    times = [one.returned or 0 for one in answered]
    for one in operations:
        if not one.revision or one.kind == "serializable":
            continue
        before = bisect.bisect_left(times, one.called)
        floor = floors[before - 1] if before else 0
        changed = one.changed or one.returned is None
        if one.revision < floor or (changed and one.revision == floor):
            raise Violation(f"revision {floor} had been told before this was asked: {one}")


# --- for the checkers ---------------------------------------------------------------------------


def judge(
    operations: Iterable[Operation], watches: Mapping[str, Iterable[Any]], revision: int
) -> checkers.Judgement:
    """Let all checkers judge: of what was asked, and what a watch through each member told at the end.

    Changes of keys that no client of the load uses are those of the test itself; they are given to a client whose
    requests have no known end.
    """
    every = list(operations)
    end = max([one.called for one in every] + [one.returned or 0 for one in every])
    seen = [
        checkers.Watch(
            client=-1 - number,
            request=checkers.WatchRequest(EVERYTHING, EVERYTHING, start_revision=1),
            call=end + 1,
            responses=[
                messages.watch_response(message, end + 2 + place)
                for place, message in enumerate(responses)
            ],
            settled=revision,
        )
        for number, responses in enumerate(watches.values())
    ]
    log = _log(seen[0], revision)
    keys = {one.key for one in every}
    foreign = [
        _unknown(-1000 - number, changes)
        for number, changes in log.changes.items()
        if not keys & {change.key for change in changes}
    ]
    records = [_record(one) for one in every if one.request is not None]
    history = checkers.History([*foreign, *records], seen)
    return checkers.judge(history, log=log)


def _log(watch: checkers.Watch, revision: int) -> checkers.Log:
    changes: dict[int, tuple[Change, ...]] = {}
    for event in watch.events:
        change = Change(event.kv.key, None if event.deleted else event.kv)
        changes[event.kv.mod_revision] = (*changes.get(event.kv.mod_revision, ()), change)
    return checkers.Log(1, revision, changes)


def _unknown(client: int, changes: tuple[Change, ...]) -> checkers.Operation:
    """Somebody's request that made these changes, asked at the beginning."""
    ops: list[r.Op] = [
        r.Delete(change.key)
        if change.kv is None
        else r.Put(change.key, change.kv.value, change.kv.lease)
        for change in changes
    ]
    request = ops[0] if len(ops) == 1 else r.Txn((), tuple(ops))
    return checkers.Operation(client, request, call=0)


def _record(one: Operation) -> checkers.Operation:
    assert one.request is not None
    known = one.returned is not None
    return checkers.Operation(
        one.client,
        one.request,
        one.called,
        one.returned,
        one.answer,
        one.revision if known else 0,
        error=one.error,
    )
