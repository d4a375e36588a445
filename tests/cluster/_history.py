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

    @property
    def changes(self) -> Changes:
        """What it does if it does anything."""
        return {self.key: None if self.kind == "delete" else self.value}


class Violation(AssertionError):
    """The history has no explanation."""


def events_of(client: Any, end: int, start: int = 1) -> dict[int, Changes]:
    """All changes up to revision `end`, as a watch through `client` tells them."""
    found: dict[int, Changes] = {}
    requests: queue.Queue[Any] = queue.Queue()
    create = WatchCreateRequest(key=EVERYTHING, range_end=EVERYTHING, start_revision=start)
    requests.put(WatchRequest(create_request=create))
    stream = client.stream("Watch/Watch", iter(requests.get, None))
    for response in stream:
        assert not response.canceled, response
        for event in response.events:
            value = None if event.type else event.kv.value
            found.setdefault(event.kv.mod_revision, {})[event.kv.key] = value
        if max(found, default=1) >= end:
            break
    requests.put(None)
    stream.cancel()
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
