"""The guarantees of a watch, against a list of everything that ever happened.

A random history is written while clients come, go, read slowly and ask for progress, and while the
store is compacted and replaced. Each response is judged when it is read:

* ordered, unique, reliable: the events of a watch are exactly the next ones of the list;
* atomic: a revision is never spread over responses (fragments of one count as one);
* resumable: a watch from any kept revision replays all since;
* bookmarkable: at a progress notification everything up to its revision has been read, no more comes;
* filters and previous values are right.
"""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = (b"a", b"b", b"bb", b"c")
ENDS = (b"", b"b", b"bb", b"c", b"d", b"\0")
FRAGMENT_BYTES = 90

keys = st.sampled_from(KEYS)
streams = st.integers(0, 2)
create = st.tuples(
    st.just("create"),
    streams,
    keys,
    st.sampled_from(ENDS),
    st.none() | st.integers(-12, 3),
    st.lists(st.integers(0, 1), max_size=1),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
write = st.one_of(
    st.tuples(st.just("put"), keys),
    st.tuples(st.just("delete"), keys, st.sampled_from(ENDS)),
    st.tuples(st.just("txn"), st.sets(keys, min_size=2)),
)
operation = st.one_of(
    write,
    write,
    st.tuples(st.just("announce")),
    st.tuples(st.just("announce")),
    create,
    st.tuples(st.just("cancel"), streams, st.integers(0, 6)),
    st.tuples(st.just("take"), streams),
    st.tuples(st.just("catch_up"), st.integers(1, 3), st.integers(1, 4)),
    st.tuples(st.just("catch_up"), st.integers(1, 3), st.integers(1, 4)),
    st.tuples(st.just("compact"), st.integers(0, 5)),
    st.tuples(st.just("progress"), streams),
    st.tuples(st.just("progress"), streams),
    st.tuples(st.just("tick")),
    st.tuples(st.just("snapshot")),
)
course = st.tuples(
    st.lists(write, max_size=12),
    st.lists(create, min_size=1, max_size=6),
    st.lists(operation, min_size=15, max_size=50),
).map(lambda parts: [*parts[0], ("announce",), *parts[1], *parts[2]])


@attrs.define
class Change:
    """One change of one key, in full."""

    key: bytes
    revision: int
    kind: int
    value: bytes
    prev: bytes | None


@attrs.define
class Watch:
    """What the model knows of a watch: what it asked for and what it was given."""

    key: bytes
    end: bytes
    start: int
    filters: list[int]
    prev_kv: bool
    fragment: bool
    given: int = 0  # how many of the changes it wants
    fragments: list[Any] = attrs.field(factory=list)
    ended: bool = False

    def wants(self, change: Change) -> bool:
        if change.revision < self.start or change.kind in self.filters:
            return False
        if not self.end:
            return change.key == self.key
        return self.key <= change.key and (self.end == b"\0" or change.key < self.end)


class Judge:
    """Runs operations on a member and on the model, and judges what the clients read."""

    def __init__(self, new_member: Any) -> None:
        self.member = new_member(progress_interval_seconds=1.0)
        self.member.paused = True
        self.changes: list[Change] = []
        self.values: dict[bytes, bytes] = {}
        self.readers = [
            self.member.reader(backlog_messages_max=4, fragment_bytes_max=FRAGMENT_BYTES),
            self.member.reader(backlog_bytes_max=300, fragment_bytes_max=FRAGMENT_BYTES),
            self.member.reader(),
        ]
        self.watches: list[dict[int, Watch]] = [{} for _ in self.readers]
        self.created: list[list[Watch]] = [[] for _ in self.readers]
        self.now = 0.0
        self.serial = 0

    # --- writing ------------------------------------------------------------------------------

    def _changed(self, key: bytes, value: bytes | None, revision: int) -> None:
        kind = 0 if value is not None else 1
        change = Change(key, revision, kind, value or b"", self.values.get(key))
        self.changes.append(change)
        if value is None:
            del self.values[key]
        else:
            self.values[key] = value

    def put(self, *keys: bytes) -> None:
        changes = []
        for key in keys:
            self.serial += 1
            changes.append((key, b"%d" % self.serial))
        revision = self.member.txn(changes)
        for key, value in changes:
            self._changed(key, value, revision)

    def txn(self, keys: set[bytes]) -> None:
        self.put(*sorted(keys, reverse=True))

    def delete(self, key: bytes, end: bytes) -> None:
        found = Watch(key, end, 0, [], prev_kv=False, fragment=False)
        gone = [k for k in sorted(self.values) if found.wants(Change(k, 0, 0, b"", None))]
        revision = self.member.delete(key, end)
        for each in gone:
            self._changed(each, None, revision)

    def announce(self) -> None:
        self.member.announce()

    def compact(self, back: int) -> None:
        revision = self.member.store.revision - back
        if revision > max(self.member.store.compact_revision, 0):
            self.member.compact(revision)

    def snapshot(self) -> None:
        """The batch never arrives as events: a snapshot that holds it does."""
        self.member.store.take_events()
        self.member.hub.restore(self.member.store)

    # --- watching -----------------------------------------------------------------------------

    def create(
        self,
        at: int,
        key: bytes,
        end: bytes,
        offset: int | None,
        filters: list[int],
        prev_kv: bool,
        fragment: bool,
        progress_notify: bool,
    ) -> None:
        hub = self.member.hub
        start = 0 if offset is None else max(1, hub.revision + offset)
        watch_id = self.readers[at].create(
            key,
            end,
            start_revision=start,
            filters=filters,
            prev_kv=prev_kv,
            fragment=fragment,
            progress_notify=progress_notify,
        )
        if watch_id >= 0:
            first = start or hub.revision + 1
            watch = Watch(key, end, first, filters, prev_kv, fragment)
            self.created[at].append(watch)

    def cancel(self, at: int, watch_id: int) -> None:
        self.readers[at].stream.cancel(watch_id)

    def progress(self, at: int) -> None:
        self.readers[at].stream.request_progress()

    def tick(self) -> None:
        self.now += 0.6
        self.member.hub.tick(self.now)

    def catch_up(self, watchers_max: int, revisions_max: int) -> None:
        self.member.hub.catch_up(watchers_max, revisions_max)

    # --- judging ------------------------------------------------------------------------------

    def take(self, at: int) -> int:
        responses = self.readers[at].take()
        watches = self.watches[at]
        for response in responses:
            if response.created:
                if not response.canceled:
                    assert response.watch_id not in watches
                    watches[response.watch_id] = self.created[at].pop(0)
            elif response.canceled:
                self._ended(watches[response.watch_id], response)
            elif response.events:
                self._delivered(watches[response.watch_id], response)
            elif response.watch_id == -1:
                note("progress of a stream")
                for watch in watches.values():
                    self._bookmark(watch, response.header.revision)
            else:
                note("progress of a watch")
                self._bookmark(watches[response.watch_id], response.header.revision)
        return len(responses)

    def _pending(self, watch: Watch) -> list[Change]:
        return [change for change in self.changes if watch.wants(change)][watch.given :]

    def _delivered(self, watch: Watch, response: Any) -> None:
        assert not watch.ended
        watch.fragments += response.events
        if response.fragment:
            note("fragment")
            assert watch.fragment
            return
        events, watch.fragments = watch.fragments, []
        pending = self._pending(watch)
        expected = pending[: len(events)]
        got = [(e.kv.mod_revision, e.kv.key, e.type, e.kv.value) for e in events]
        assert got == [(c.revision, c.key, c.kind, c.value) for c in expected]
        rest = pending[len(events) :]
        assert not rest or rest[0].revision > expected[-1].revision
        assert response.header.revision >= expected[-1].revision
        for seen, change in zip(events, expected, strict=True):
            self._check_prev(watch, seen, change)
        watch.given += len(events)

    def _check_prev(self, watch: Watch, seen: Any, change: Change) -> None:
        if not watch.prev_kv or change.prev is None:
            assert not seen.HasField("prev_kv")
        elif seen.HasField("prev_kv"):
            assert (seen.prev_kv.key, seen.prev_kv.value) == (change.key, change.prev)
        else:
            assert change.revision - 1 < self.member.store.compact_revision

    def _bookmark(self, watch: Watch, revision: int) -> None:
        if not watch.ended:
            assert not watch.fragments
            assert watch.start <= revision + 1
            assert all(change.revision > revision for change in self._pending(watch))

    def _ended(self, watch: Watch, response: Any) -> None:
        assert not watch.ended
        assert not watch.fragments
        watch.ended = True
        if response.compact_revision:
            note("compacted")
            assert response.compact_revision <= self.member.store.compact_revision
            assert watch.start < response.compact_revision

    def finish(self) -> None:
        """Read to the end: everything that was wanted has come."""
        self.announce()
        more = True
        while more:
            more = self.member.hub.catch_up()
            taken = [self.take(at) for at in range(len(self.readers))]
            more = more or any(taken)
        for watches in self.watches:
            for watch in watches.values():
                assert watch.ended or not self._pending(watch)
        statistics = self.member.hub.statistics()
        assert statistics.slow_watchers == statistics.pending_events == 0


@given(operations=course)
@settings(max_examples=600, deadline=None)
def test_watches_keep_their_promises(new_member: Any, operations: Any) -> None:
    judge = Judge(new_member)
    for name, *arguments in operations:
        getattr(judge, name)(*arguments)
    judge.finish()
