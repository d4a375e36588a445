"""etcd as a value: a state, and what each request makes of it.

It is written apart from the store of `triode.mvcc` and shares nothing with it, because it is to judge it. A state
never changes; `step` gives the next one, the answer, and the changes in their order. Keys are few in histories,
so that a copy of the whole map per write is the simplest thing that is fast enough.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import attrs

from .requests import (
    DESCEND,
    VALUE,
    Compact,
    Compacted,
    Compare,
    Delete,
    Deleted,
    Got,
    Grant,
    Granted,
    KeepAlive,
    KeptAlive,
    KeyValue,
    Put,
    PutDone,
    Range,
    Refused,
    Request,
    Response,
    Result,
    Revoke,
    Revoked,
    Txn,
    TxnDone,
    within,
)

__all__ = ["COMPACTED", "FUTURE", "Change", "Past", "State", "Step", "step"]

COMPACTED = Refused("etcdserver: mvcc: required revision has been compacted")
FUTURE = Refused("etcdserver: mvcc: required revision is a future revision")
LEASE_NOT_FOUND = Refused("etcdserver: requested lease not found")
LEASE_EXIST = Refused("etcdserver: lease already exists")
KEY_NOT_FOUND = Refused("etcdserver: key not found")

_TARGETS = ("version", "create_revision", "mod_revision", "value", "lease")
_SORTS = ("key", "version", "create_revision", "mod_revision", "value")
_RESULTS: tuple[Callable[[Any, Any], bool], ...] = (
    operator.eq,
    operator.gt,
    operator.lt,
    operator.ne,
)

Keys = Mapping[bytes, KeyValue]
Past = Callable[[int], Keys]


class Change(NamedTuple):
    """One key's change in one revision; `kv` None: it was deleted."""

    key: bytes
    kv: KeyValue | None


@attrs.frozen
class State:
    """All of a store, as far as clients can see it.

    `fingerprint` is a hash of the keys that is kept up to date with each change.
    """

    revision: int = 1
    compact_revision: int = -1
    keys: Keys = attrs.field(factory=dict, repr=False)
    leases: frozenset[int] = frozenset()
    fingerprint: int = 0

    @property
    def identity(self) -> tuple[int, int, frozenset[int], int]:
        """What tells states apart (up to the hash of the keys)."""
        return self.revision, self.compact_revision, self.leases, self.fingerprint


class Step(NamedTuple):
    """What a request does in a state."""

    state: State
    response: Response
    changes: tuple[Change, ...] = ()


def no_past(_: int) -> Keys:
    """For states whose past is not known: every read of it fails."""
    raise LookupError("the past is not known")


class _Refusal(Exception):  # it is not an error, but an answer
    def __init__(self, answer: Refused) -> None:
        super().__init__(answer.text)
        self.answer = answer


def step(state: State, request: Request, past: Past = no_past) -> Step:
    """Execute a request.

    Args:
        state: what it meets.
        request: any request. A KeepAlive is answered as if the lease's TTL was 1.
        past: the keys at an earlier revision that is not compacted.
    """
    if isinstance(request, Grant):
        if request.lease in state.leases:
            return Step(state, LEASE_EXIST)
        leases = state.leases | {request.lease}
        return Step(attrs.evolve(state, leases=leases), Granted(request.lease, request.ttl))
    if isinstance(request, Compact):
        if request.revision <= state.compact_revision:
            return Step(state, COMPACTED)
        if request.revision > state.revision:
            return Step(state, FUTURE)
        return Step(attrs.evolve(state, compact_revision=request.revision), Compacted())
    if isinstance(request, KeepAlive):
        return Step(state, KeptAlive(int(request.lease in state.leases)))
    draft = _Draft(state, past)
    try:
        response = draft.execute(request)
    except _Refusal as refusal:
        return Step(state, refusal.answer)
    return Step(draft.finish(), response, tuple(draft.changes))


class _Draft:
    """The state in the middle of one request."""

    def __init__(self, state: State, past: Past) -> None:
        self.before = state
        self.keys = state.keys
        self.leases = state.leases
        self.fingerprint = state.fingerprint
        self.changes: list[Change] = []
        self._past = past

    def finish(self) -> State:
        before = self.before
        if not self.changes and self.leases is before.leases:
            return before
        return State(
            before.revision + bool(self.changes),
            before.compact_revision,
            self.keys,
            self.leases,
            self.fingerprint,
        )

    def execute(self, request: Range | Put | Delete | Txn | Revoke) -> Response:
        if isinstance(request, Range):
            self.check_range(request)
            return self.range(request)
        if isinstance(request, Put):
            self.check_put(request, set())
            return self.put(request)
        if isinstance(request, Delete):
            return self.delete(request)
        if isinstance(request, Txn):
            plan = self.plan(request)
            self.check(plan, set())
            return self.run(plan)
        return self.revoke(request)

    # --- reads ----------------------------------------------------------------------------------

    def check_range(self, request: Range) -> None:
        if request.revision > self.before.revision:
            raise _Refusal(FUTURE)
        if 0 < request.revision < self.before.compact_revision:
            raise _Refusal(COMPACTED)

    def find(self, key: bytes, end: bytes, keys: Keys | None = None) -> list[KeyValue]:
        keys = self.keys if keys is None else keys
        if not end:
            found = keys.get(key)
            return [found] if found else []
        return [keys[one] for one in sorted(keys) if within(one, key, end)]

    def range(self, request: Range) -> Got:
        historic = 0 < request.revision < self.before.revision
        keys = self._past(request.revision) if historic else self.keys
        if request.revision == self.before.revision:
            keys = self.before.keys
        kvs = self.find(request.key, request.end, keys)
        count = len(kvs)
        if request.count_only:
            return Got((), count)
        if request.limit > 0 and not request.sort_order and not _filters(request):
            kvs = kvs[: request.limit + 1]  # with order NONE etcd sorts only what it fetched
        kvs = _sorted(request, [kv for kv in kvs if _passes(request, kv)])
        more = 0 < request.limit < len(kvs)
        if more:
            kvs = kvs[: request.limit]
        if request.keys_only:
            kvs = [kv._replace(value=b"") for kv in kvs]
        return Got(tuple(kvs), count, more)

    # --- writes ---------------------------------------------------------------------------------

    def check_put(self, request: Put, gone: set[bytes]) -> None:
        absent = request.key not in self.keys or request.key in gone
        if absent and (request.ignore_value or request.ignore_lease):
            raise _Refusal(KEY_NOT_FOUND)
        if request.lease and request.lease not in self.leases:
            raise _Refusal(LEASE_NOT_FOUND)

    def put(self, request: Put) -> PutDone:
        old = self.keys.get(request.key)
        revision = self.before.revision + 1
        kv = KeyValue(
            request.key,
            old.create_revision if old else revision,
            revision,
            old.version + 1 if old else 1,
            old.value if old and request.ignore_value else request.value,
            old.lease if old and request.ignore_lease else request.lease,
        )
        self.change(request.key, old, kv)
        return PutDone(old if request.prev_kv else None)

    def delete(self, request: Delete) -> Deleted:
        gone = self.find(request.key, request.end)
        for kv in gone:
            self.change(kv.key, kv, None)
        return Deleted(len(gone), tuple(gone) if request.prev_kv else ())

    def revoke(self, request: Revoke) -> Response:
        if request.lease not in self.leases:
            raise _Refusal(LEASE_NOT_FOUND)
        for key in sorted(self.keys):
            kv = self.keys[key]
            if kv.lease == request.lease:
                self.change(key, kv, None)
        self.leases -= {request.lease}
        return Revoked()

    def change(self, key: bytes, old: KeyValue | None, new: KeyValue | None) -> None:
        if not self.changes:
            self.keys = dict(self.keys)
        assert isinstance(self.keys, dict)
        if old is not None:
            self.fingerprint ^= hash(old)
        if new is not None:
            self.fingerprint ^= hash(new)
            self.keys[key] = new
        else:
            del self.keys[key]
        self.changes.append(Change(key, new))

    # --- transactions ---------------------------------------------------------------------------

    def plan(self, request: Txn) -> _Plan:
        """Choose the path; all compares of it look at the state before anything is written."""
        succeeded = all(self.holds(compare) for compare in request.compares)
        chosen = request.success if succeeded else request.failure
        return _Plan(succeeded, [self.plan(op) if isinstance(op, Txn) else op for op in chosen])

    def holds(self, compare: Compare) -> bool:
        found = self.find(compare.key, compare.end)
        if not found:
            if compare.target == VALUE:
                return False
            found = [KeyValue(b"", 0, 0, 0, b"")]
        target, holds = _TARGETS[compare.target], _RESULTS[compare.result]
        return all(holds(getattr(kv, target), compare.operand) for kv in found)

    def check(self, plan: _Plan, gone: set[bytes]) -> None:
        """Refuse what the plan would run into; `gone` are the keys that it deletes on the way."""
        for op in plan.ops:
            if isinstance(op, _Plan):
                self.check(op, gone)
            elif isinstance(op, Range):
                self.check_range(op)
            elif isinstance(op, Delete):
                gone.update(kv.key for kv in self.find(op.key, op.end))
            else:
                self.check_put(op, gone)

    def run(self, plan: _Plan) -> TxnDone:
        results: list[Result] = []
        for op in plan.ops:
            if isinstance(op, _Plan):
                results.append(self.run(op))
            elif isinstance(op, Range):
                results.append(self.range(op))
            elif isinstance(op, Put):
                results.append(self.put(op))
            else:
                results.append(self.delete(op))
        return TxnDone(plan.succeeded, tuple(results))


class _Plan(NamedTuple):
    succeeded: bool
    ops: list[Any]  # Range, Put, Delete or _Plan


def _filters(request: Range) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _passes(request: Range, kv: KeyValue) -> bool:
    mod, create = kv.mod_revision, kv.create_revision
    return (
        mod >= (request.min_mod_revision or mod)
        and mod <= (request.max_mod_revision or mod)
        and create >= (request.min_create_revision or create)
        and create <= (request.max_create_revision or create)
    )


def _sorted(request: Range, kvs: list[KeyValue]) -> list[KeyValue]:
    if not request.sort_order and not request.sort_target:
        return kvs
    field = operator.attrgetter(_SORTS[request.sort_target])
    return sorted(kvs, key=field, reverse=request.sort_order == DESCEND)
