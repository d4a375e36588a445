"""Random requests against a model that keeps every revision as a whole dict.

The model is dumb on purpose: it copies, filters and sorts lists, and knows no index, cache or sweep.
Restarts and crashes happen in between; a crash takes the model back to the last commit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import google_crc32c
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from triode.backends.buffer import Backend
from triode.errors import Compacted
from triode.rpc.pb import kv_pb2
from triode.rpc.pb import rpc_pb2 as pb

COMPACTED = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
FUTURE = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")
NO_KEY = ("INVALID_ARGUMENT", "etcdserver: key not found")
NO_LEASE = ("NOT_FOUND", "etcdserver: requested lease not found")
DUPLICATE = ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request")
LEASES = (7, 8)


class Refused(Exception):
    def __init__(self, answer: tuple[str, str]) -> None:
        self.answer = answer


class Model:
    """`past[r]` is the whole state at revision r; `rows` is every change ever made, in order."""

    def __init__(self) -> None:
        self.past: list[dict[bytes, kv_pb2.KeyValue]] = [{}, {}]
        self.rows: list[tuple[int, int, bytes, kv_pb2.KeyValue | None]] = []
        self.compact_revision = -1
        self.leases: set[int] = set()
        self.now: dict[bytes, kv_pb2.KeyValue] = {}
        self.changes = 0

    @property
    def revision(self) -> int:
        return len(self.past) - 1

    @property
    def visible(self) -> int:
        return self.revision + (1 if self.changes else 0)

    def complete(self) -> None:
        if self.changes:
            self.past.append(dict(self.now))
        self.changes = 0

    def within(self, key: bytes, end: bytes, state: dict[bytes, Any] | None = None) -> list[bytes]:
        state = self.now if state is None else state
        if not end:
            return [key] if key in state else []
        return sorted(k for k in state if key <= k and (end == b"\0" or k < end))

    # --- one method per request -------------------------------------------------------------------

    def range(self, r: pb.RangeRequest) -> pb.RangeResponse:
        if r.revision > self.visible:
            raise Refused(FUTURE)
        if 0 < r.revision < self.compact_revision:
            raise Refused(COMPACTED)
        present = r.revision <= 0 or r.revision == self.visible
        state = self.now if present else self.past[r.revision]
        answer = pb.RangeResponse(header=pb.ResponseHeader(revision=self.visible))
        kvs = [copy.deepcopy(state[k]) for k in self.within(r.key, r.range_end, state)]
        answer.count = len(kvs)
        if r.count_only:
            return answer
        filters = [r.min_mod_revision, r.max_mod_revision]
        filters += [r.min_create_revision, r.max_create_revision]
        if r.limit > 0 and r.sort_order == 0 and not any(filters):
            kvs = kvs[: r.limit + 1]  # order NONE: etcd sorts only what the limit lets it read
        kvs = [
            kv
            for kv in kvs
            if kv.mod_revision >= (r.min_mod_revision or kv.mod_revision)
            and kv.mod_revision <= (r.max_mod_revision or kv.mod_revision)
            and kv.create_revision >= (r.min_create_revision or kv.create_revision)
            and kv.create_revision <= (r.max_create_revision or kv.create_revision)
        ]
        field = ["key", "version", "create_revision", "mod_revision", "value"][r.sort_target]
        kvs.sort(key=lambda kv: getattr(kv, field), reverse=r.sort_order == 2)
        if 0 < r.limit < len(kvs):
            answer.more = True
            kvs = kvs[: r.limit]
        for kv in kvs:
            if r.keys_only:
                kv.value = b""
        answer.kvs.extend(kvs)
        return answer

    def check_put(self, r: pb.PutRequest) -> None:
        if (r.ignore_value or r.ignore_lease) and r.key not in self.now:
            raise Refused(NO_KEY)
        if r.lease and r.lease not in self.leases:
            raise Refused(NO_LEASE)

    def put(self, r: pb.PutRequest) -> pb.PutResponse:
        old = self.now.get(r.key)
        revision = self.revision + 1
        kv = kv_pb2.KeyValue(
            key=r.key,
            create_revision=old.create_revision if old else revision,
            mod_revision=revision,
            version=old.version + 1 if old else 1,
            value=old.value if old and r.ignore_value else r.value,
            lease=old.lease if old and r.ignore_lease else r.lease,
        )
        self.now[r.key] = kv
        self.rows.append((revision, self.changes, r.key, kv))
        self.changes += 1
        answer = pb.PutResponse(header=pb.ResponseHeader(revision=revision))
        if r.prev_kv and old:
            answer.prev_kv.CopyFrom(old)
        return answer

    def delete(self, r: pb.DeleteRangeRequest) -> pb.DeleteRangeResponse:
        gone = [self.now.pop(key) for key in self.within(r.key, r.range_end)]
        for kv in gone:
            self.rows.append((self.revision + 1, self.changes, kv.key, None))
            self.changes += 1
        return pb.DeleteRangeResponse(
            header=pb.ResponseHeader(revision=self.visible),
            deleted=len(gone),
            prev_kvs=gone if r.prev_kv else [],
        )

    def txn(self, r: pb.TxnRequest) -> pb.TxnResponse:
        plan = self.plan(r)
        answer = self.execute(plan)
        answer.header.revision = self.visible
        return answer

    def plan(self, r: pb.TxnRequest) -> tuple[bool, list[Any]]:
        taken = all(self.compare(c) for c in r.compare)
        steps: list[Any] = []
        for op in r.success if taken else r.failure:
            one = getattr(op, op.WhichOneof("request"))
            if isinstance(one, pb.TxnRequest):
                steps.append(self.plan(one))
                continue
            steps.append(one)
        return taken, steps

    def refuse(self, plan: tuple[bool, list[Any]], gone: set[bytes]) -> None:
        """Raise what the plan will run into; `gone` collects what it deletes on the way."""
        for one in plan[1]:
            if isinstance(one, tuple):
                self.refuse(one, gone)
            elif isinstance(one, pb.DeleteRangeRequest):
                gone.update(self.within(one.key, one.range_end))
            elif isinstance(one, pb.RangeRequest):
                if one.revision > self.revision:
                    raise Refused(FUTURE)
                if one.revision and one.revision < self.compact_revision:
                    raise Refused(COMPACTED)
            elif isinstance(one, pb.PutRequest):
                if (one.ignore_value or one.ignore_lease) and one.key in gone:
                    raise Refused(NO_KEY)
                self.check_put(one)

    def execute(self, plan: tuple[bool, list[Any]], *, inner: bool = False) -> pb.TxnResponse:
        if not inner:
            self.refuse(plan, set())
        answer = pb.TxnResponse(header=pb.ResponseHeader(), succeeded=plan[0])
        for one in plan[1]:
            op = answer.responses.add()
            if isinstance(one, tuple):
                op.response_txn.CopyFrom(self.execute(one, inner=True))
            elif isinstance(one, pb.RangeRequest):
                op.response_range.CopyFrom(self.range(one))
            elif isinstance(one, pb.PutRequest):
                op.response_put.CopyFrom(self.put(one))
            else:
                op.response_delete_range.CopyFrom(self.delete(one))
        return answer

    def compare(self, c: pb.Compare) -> bool:
        found = [self.now[k] for k in self.within(c.key, c.range_end)]
        if not found and c.target == pb.Compare.VALUE:
            return False
        target = ["version", "create_revision", "mod_revision", "value", "lease"][c.target]
        want = getattr(c, target)
        have = [getattr(kv, target) for kv in found or [kv_pb2.KeyValue()]]
        return all([h == want, h > want, h < want, h != want][c.result] for h in have)

    def hash_kv(self, revision: int) -> int:
        """HashKV by its definition, over all rows ever written."""
        crc = google_crc32c.value(b"key")
        basis = self.past[revision] or self.past[max(self.compact_revision, 0)]
        kept = {(kv.key, kv.mod_revision) for kv in basis.values()}
        last = {(main, key): sub for main, sub, key, _ in self.rows}
        for main, sub, key, kv in self.rows:
            survives = kv is not None and (key, main) in kept and last[main, key] == sub
            if main > revision or (main <= self.compact_revision and not survives):
                continue
            disk = main.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big")
            body = kv_pb2.KeyValue(key=key) if kv is None else kv
            crc = google_crc32c.extend(crc, disk + (b"" if kv else b"t"))
            crc = google_crc32c.extend(crc, body.SerializeToString(deterministic=True))
        return int(crc)


KEYS = st.sampled_from([b"a", b"a\0", b"b", b"bb", b"c", b"d"])
ENDS = st.sampled_from([b"", b"", b"\0", b"b", b"c", b"zz", b"a"])
VALUES = st.sampled_from([b"", b"1", b"2", b"long" * 40])
REVISIONS = st.integers(-1, 25)
RANGES = st.builds(
    pb.RangeRequest,
    key=KEYS,
    range_end=ENDS,
    limit=st.sampled_from([0, 0, 1, 2, 3]),
    revision=st.one_of(st.just(0), REVISIONS),
    sort_order=st.sampled_from([0, 1, 2]),
    sort_target=st.sampled_from([0, 1, 2, 3, 4]),
    keys_only=st.booleans(),
    count_only=st.sampled_from([False, False, True]),
    min_mod_revision=st.sampled_from([0, 0, 0, 3, 6]),
    max_mod_revision=st.sampled_from([0, 0, 0, 5, 9]),
    min_create_revision=st.sampled_from([0, 0, 0, 3, 6]),
    max_create_revision=st.sampled_from([0, 0, 0, 5, 9]),
)
PUTS = st.builds(
    pb.PutRequest,
    key=KEYS,
    value=VALUES,
    lease=st.sampled_from([0, 0, *LEASES]),
    prev_kv=st.booleans(),
)
KEEPING_PUTS = st.builds(
    pb.PutRequest,
    key=KEYS,
    prev_kv=st.booleans(),
    ignore_value=st.booleans(),
    ignore_lease=st.booleans(),
)
DELETES = st.builds(pb.DeleteRangeRequest, key=KEYS, range_end=ENDS, prev_kv=st.booleans())


def compare(target: str, number: int, result: int, key: bytes, end: bytes, value: bytes) -> Any:
    made = pb.Compare(target=number, result=result, key=key, range_end=end)
    setattr(made, target, value if target == "value" else len(value) % 5)
    return made


COMPARES = st.builds(
    lambda number, result, key, end, value: compare(
        ["version", "create_revision", "mod_revision", "value", "lease"][number],
        number,
        result,
        key,
        end,
        value,
    ),
    st.integers(0, 4),
    st.integers(0, 3),
    KEYS,
    ENDS,
    VALUES,
)
LEAVES = st.one_of(
    st.builds(pb.RequestOp, request_range=RANGES),
    st.builds(pb.RequestOp, request_put=PUTS),
    st.builds(pb.RequestOp, request_put=KEEPING_PUTS),
    st.builds(pb.RequestOp, request_delete_range=DELETES),
)


def txns(ops: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(ops, max_size=3)
    return st.builds(
        pb.TxnRequest, compare=st.lists(COMPARES, max_size=2), success=some, failure=some
    )


TXNS = txns(st.one_of(LEAVES, st.builds(pb.RequestOp, request_txn=txns(LEAVES))))


class Machine(RuleBasedStateMachine):
    make_api: Callable[..., Any]

    def __init__(self) -> None:
        super().__init__()
        self.api = type(self).make_api(cache_bytes=600)  # small: most reads go to the backend
        self.model = Model()
        self.committed = copy.deepcopy(self.model)
        self.seen = 0
        for lease in LEASES:
            self.grant(lease)

    def grant(self, lease: int) -> None:
        self.api.call(pb.LeaseGrantRequest(ID=lease, TTL=100))
        self.model.leases.add(lease)

    def agree(self, request: Any, expected: Callable[[Any], Any]) -> None:
        ours = self.api.call(request)
        if ours == DUPLICATE:
            return
        try:
            theirs = expected(request)
        except Refused as refused:
            theirs = refused.answer
        self.model.complete()
        assert ours == theirs, request

    @rule(request=st.one_of(PUTS, PUTS, KEEPING_PUTS))
    def put(self, request: pb.PutRequest) -> None:
        def expected(request: pb.PutRequest) -> Any:
            self.model.check_put(request)
            return self.model.put(request)

        self.agree(request, expected)

    @rule(request=DELETES)
    def delete(self, request: pb.DeleteRangeRequest) -> None:
        self.agree(request, self.model.delete)

    @rule(request=TXNS)
    def txn(self, request: pb.TxnRequest) -> None:
        self.agree(request, self.model.txn)

    @rule(request=RANGES)
    def range(self, request: pb.RangeRequest) -> None:
        self.agree(request, self.model.range)

    @rule(lease=st.sampled_from(LEASES))
    def revoke(self, lease: int) -> None:
        keys = sorted(k for k, kv in self.model.now.items() if kv.lease == lease)
        self.api.call(pb.LeaseRevokeRequest(ID=lease))
        for key in keys:
            self.model.delete(pb.DeleteRangeRequest(key=key))
        self.model.complete()
        self.grant(lease)

    @rule(back=st.integers(-1, 6))
    def compact(self, back: int) -> None:
        revision = self.model.revision - back
        answer = self.api.call(pb.CompactionRequest(revision=revision))
        if revision <= self.model.compact_revision:
            assert answer == COMPACTED
        elif revision > self.model.revision:
            assert answer == FUTURE
        else:
            assert answer.header.revision == self.model.revision
            self.model.compact_revision = revision

    @rule(rows=st.integers(1, 5))
    def sweep(self, rows: int) -> None:
        done = self.api.store.compaction_slice(rows)
        assert done == (not self.api.store.compaction_pending)

    @rule()
    def commit(self) -> None:
        self.api.backend.commit()
        self.committed = copy.deepcopy(self.model)

    @rule()
    def restart(self) -> None:
        self.commit()
        self.reopen(self.api.backend)

    @rule()
    def crash(self) -> None:
        self.model = copy.deepcopy(self.committed)
        self.reopen(Backend(self.api.backend.engine))

    def reopen(self, backend: Backend) -> None:
        self.api.backend = backend
        self.api.open()
        self.seen = len(self.model.rows)

    @rule(start=st.integers(0, 30), revisions=st.integers(1, 4))
    def replay(self, start: int, revisions: int) -> None:
        start = max(start, 1)
        if start < self.model.compact_revision:
            with pytest.raises(Compacted):
                self.api.store.history(start, revisions)
            return
        found: list[Any] = []
        at = start
        while at <= self.model.revision:
            part = self.api.store.history(at, revisions)
            assert part.next_revision > at
            assert len({event.mod_revision for event in part.events}) <= revisions
            found += part.events
            at = part.next_revision
        rows = [row for row in self.model.rows if row[0] >= start]
        if start == self.model.compact_revision:
            # Changes of that very revision which later ones of it replaced may be gone.
            rows = [row for row in rows if row[0] > start]
            found = [event for event in found if event.mod_revision > start]
        self.same_events(found, rows)

    @rule(back=st.integers(0, 8))
    def hash(self, back: int) -> None:
        revision = self.model.revision - back
        known = {h.hash_revision for h in self.api.store.compaction_hashes}
        if revision > max(self.model.compact_revision, 0) and revision not in known:
            assert self.api.store.hash_kv(revision).hash == self.model.hash_kv(revision)
            self.committed = copy.deepcopy(self.model)  # a hash runs over a committed view

    @invariant()
    def events_of_the_last_writes(self) -> None:
        self.same_events(self.api.store.take_events(), self.model.rows[self.seen :])
        self.seen = len(self.model.rows)

    @invariant()
    def revisions(self) -> None:
        store = self.api.store
        assert (store.revision, store.compact_revision) == (
            self.model.revision,
            self.model.compact_revision,
        )

    def same_events(self, events: list[Any], rows: list[Any]) -> None:
        shown = [
            kv_pb2.Event.FromString(
                pb.WatchResponse.FromString(e.wire()).events[0].SerializeToString()
            )
            for e in events
        ]
        expected = [
            kv_pb2.Event(kv=kv)
            if kv
            else kv_pb2.Event(type=1, kv=kv_pb2.KeyValue(key=key, mod_revision=main))
            for main, _, key, kv in rows
        ]
        assert shown == expected
        for event in events:
            before = self.model.past[event.mod_revision - 1].get(event.key)
            if event.created:
                before = None  # as in etcd, even if the same txn deleted the key just before
            if event.mod_revision - 1 >= self.model.compact_revision:
                prev = self.api.store.prev_kv(event)
                shown_prev = pb.PutResponse.FromString(prev).prev_kv if prev else None
                assert shown_prev == before


def test_store_agrees_with_the_model(make_api: Callable[..., Any]) -> None:
    machine = type("BoundMachine", (Machine,), {"make_api": staticmethod(make_api)})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=120, stateful_step_count=40, deadline=None)
    )


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_store_agrees_with_the_model_for_long(make_api: Callable[..., Any]) -> None:
    machine = type("BoundMachine", (Machine,), {"make_api": staticmethod(make_api)})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=2000, stateful_step_count=80, deadline=None)
    )
