"""An entry has its effect as a whole or not at all: what is refused has changed nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from triode.actors import membership_changes, proposals
from triode.actors.answers import Header
from triode.actors.execute import Executor
from triode.actors.member import Member
from triode.actors.membership import Membership
from triode.actors.proposals import V2Request
from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.errors import EtcdError, LeaseNotFound
from triode.mvcc.alarm import Alarms
from triode.mvcc.lease import Lessor
from triode.mvcc.store import Store
from triode.raft.types import ConfChange, ConfChangeType
from triode.rpc.pb import membership_pb2 as mb
from triode.rpc.pb import rpc_pb2 as pb

GONE, KNOWN, NEVER = 5, 6, 7
"""Leases: whose record is lost, as after some restores; one that is there; one that never was."""
KEYS = [b"a", b"b", b"gone", b"known", b"free"]
ME, OTHER = 0xA, 0xB


class NoClock:
    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0


def made() -> Executor:
    """A member with keys on each kind of lease, a deleted key, and a compacted past."""
    backend = Backend(MemoryEngine.open(None, EngineOptions()))
    lessor = Lessor(backend)
    store = Store(backend, lease_hooks=lessor)
    for lease in (GONE, KNOWN):
        lessor.grant(lease, 60, 0.0)
    for key, lease in ((b"gone", GONE), (b"known", KNOWN), (b"free", 0), (b"b", 0)):
        store.put(pb.PutRequest(key=key, value=b"1", lease=lease))
    store.delete_range(pb.DeleteRangeRequest(key=b"b"))
    store.compact(3)
    backend.delete("lease", GONE.to_bytes(8, "big"))
    backend.commit()
    backend.before_commit.clear()
    lessor = Lessor(backend)
    store = Store(backend, lease_hooks=lessor)
    assert not lessor.exists(GONE)
    lessor.promote(0.0, 0.0)
    membership = Membership(backend, 1)
    for member in (Member(ME, ("http://a:1",)), Member(OTHER, ("http://b:1",), is_learner=True)):
        membership.add(member)
    return Executor(store, lessor, Alarms(backend), membership, Header(1, ME), NoClock())


def state(executor: Executor) -> dict[str, Any]:
    """Everything that an entry may change."""
    store, lessor = executor.store, executor.lessor
    backend = store.backend
    return {
        "revisions": (store.revision, store.latest, store.compact_revision, store._changes),
        "index": {
            key: (entry.created, entry.version, tuple(entry.revisions()))  # but not what is cached
            for key, entry in store.index.keys.items()
        },
        "dead": set(store.index.dead),
        "events": list(store._events),
        "sweeping": store.sweeping,
        "buffer": {bucket: dict(rows) for bucket, rows in backend._writes.items()},
        "dropped": set(backend._dropped),
        "leases": {
            lease.id: (lease.ttl, lease.remaining_ttl, lease.expiry, frozenset(lease.keys))
            for lease in lessor._leases.values()
        },
        "attached": dict(lessor.attached),
        "alarms": executor.alarms.get(),
        "members": (dict(executor.membership.members), set(executor.membership.removed)),
        "versions": (executor.membership.version, executor.membership.storage_version),
        "downgrade": executor.membership.downgrade,
        "restrictions": {kind: method.__name__ for kind, method in executor._active.items()},
    }


# --- requests, good and bad -----------------------------------------------------------------------

keys = st.sampled_from(KEYS)
ends = st.sampled_from([b"", b"\0", b"c", b"z"])
lease_ids = st.sampled_from([0, GONE, KNOWN, NEVER])
revisions = st.integers(-1, 9)
flags = st.booleans()
texts = st.sampled_from(["", "3.6.0", "3.5.0", "3.x", "nothing", "9.9.9", "v3.6.0"])

keeping = st.builds(pb.PutRequest, key=keys, value=st.just(b"v"), ignore_lease=st.just(True))
puts = st.one_of(
    keeping,
    st.builds(
        pb.PutRequest,
        key=keys,
        value=st.sampled_from([b"", b"v"]),
        lease=lease_ids,
        prev_kv=flags,
        ignore_value=flags,
        ignore_lease=flags,
    ),
)
deletes = st.builds(pb.DeleteRangeRequest, key=keys, range_end=ends, prev_kv=flags)
ranges = st.builds(
    pb.RangeRequest,
    key=keys,
    range_end=ends,
    revision=revisions,
    limit=st.integers(0, 2),
    sort_order=st.integers(0, 2),
    sort_target=st.integers(0, 4),
)
compares = st.builds(
    pb.Compare,
    key=keys,
    range_end=ends,
    result=st.integers(0, 3),
    target=st.integers(0, 4),
    version=st.integers(0, 1),
)


def operation(inner: st.SearchStrategy[pb.TxnRequest] | None) -> st.SearchStrategy[pb.RequestOp]:
    kinds: list[st.SearchStrategy[pb.RequestOp]] = [
        st.builds(pb.RequestOp, request_put=puts),
        st.builds(pb.RequestOp, request_put=puts),
        st.builds(pb.RequestOp, request_delete_range=deletes),
        st.builds(pb.RequestOp, request_range=ranges),
        st.builds(pb.RequestOp, request_range=ranges) if inner is None else st.just(pb.RequestOp()),
    ]
    if inner is not None:
        kinds.append(st.builds(pb.RequestOp, request_txn=inner))
    return st.one_of(kinds)


def txn(inner: st.SearchStrategy[pb.TxnRequest] | None) -> st.SearchStrategy[pb.TxnRequest]:
    ops = st.lists(operation(inner), max_size=4)
    return st.builds(
        pb.TxnRequest, compare=st.lists(compares, max_size=1), success=ops, failure=ops
    )


attributes = st.one_of(
    st.sampled_from(
        ["", "{", "[]", "null", '{"name":1}', '{"clientURLs":"x"}', '{"clientURLs":[1]}']
    ),
    st.builds(
        lambda name: json.dumps({"name": name, "clientURLs": ["http://c:1"]}), st.text(max_size=3)
    ),
)
old_requests = st.one_of(
    st.builds(
        V2Request,
        method=st.sampled_from(["PUT", "GET"]),
        path=st.sampled_from(
            ["/0/members/a/attributes", "/0/members/no/attributes", "/0/members//attributes"]
        ),
        value=attributes,
    ),
    st.builds(V2Request, method=st.just("PUT"), path=st.just("/0/version"), value=texts),
)
requests = st.one_of(
    st.tuples(st.just(proposals.PUT), puts),
    st.tuples(st.just(proposals.DELETE_RANGE), deletes),
    st.tuples(st.just(proposals.TXN), txn(txn(None))),
    st.tuples(st.just(proposals.COMPACTION), st.builds(pb.CompactionRequest, revision=revisions)),
    st.tuples(
        st.just(proposals.LEASE_GRANT),
        st.builds(
            pb.LeaseGrantRequest, ID=lease_ids, TTL=st.sampled_from([-1, 0, 60, 9_000_000_001])
        ),
    ),
    st.tuples(st.just(proposals.LEASE_REVOKE), st.builds(pb.LeaseRevokeRequest, ID=lease_ids)),
    st.tuples(
        st.just(proposals.LEASE_CHECKPOINT),
        st.builds(
            pb.LeaseCheckpointRequest,
            checkpoints=st.lists(
                st.builds(pb.LeaseCheckpoint, ID=lease_ids, remaining_TTL=st.integers(-1, 70)),
                max_size=2,
            ),
        ),
    ),
    st.tuples(
        st.just(proposals.ALARM),
        st.builds(
            pb.AlarmRequest,
            memberID=st.sampled_from([0, ME]),
            action=st.integers(0, 2),
            alarm=st.integers(-1, 3),
        ),
    ),
    st.tuples(
        st.just(proposals.CLUSTER_VERSION_SET), st.builds(mb.ClusterVersionSetRequest, ver=texts)
    ),
    st.tuples(
        st.just(proposals.DOWNGRADE_INFO_SET),
        st.builds(mb.DowngradeInfoSetRequest, enabled=flags, ver=texts),
    ),
    st.tuples(
        st.just(proposals.CLUSTER_MEMBER_ATTR_SET),
        st.builds(
            mb.ClusterMemberAttrSetRequest,
            member_ID=st.sampled_from([ME, 0xDEAD]),
            member_attributes=st.builds(mb.Attributes, name=st.text(max_size=3)),
        ),
    ),
    st.tuples(st.just(proposals.V2), old_requests),
    st.tuples(st.just(77), st.none()),
)
members = st.builds(
    Member,
    id=st.sampled_from([ME, OTHER, 0xC]),
    peer_urls=st.sampled_from([(), ("http://a:1",), ("http://c:1",)]),
    is_learner=flags,
)
changes = st.builds(
    lambda kind, member, promotes, broken: ConfChange(
        kind,
        member.id,
        b"["
        if broken
        else membership_changes.promote(member.id).context
        if promotes
        else member.to_json(),
    ),
    st.sampled_from(list(ConfChangeType)),
    members,
    flags,
    flags,
)
entries = st.one_of(requests, requests, changes)


@settings(max_examples=400, deadline=None)
@given(st.lists(entries, min_size=1, max_size=12), flags)
def test_what_is_refused_has_changed_nothing(
    order: list[tuple[int, Any] | ConfChange], answered: bool
) -> None:
    """Any request of the log, one after the other, good or bad: refused, it leaves no trace."""
    executor = made()
    for entry in order:
        before = state(executor)
        if isinstance(entry, ConfChange):
            refused = executor.change_membership(entry) is not None
        else:
            try:
                executor.execute(*entry, answered=answered)
                refused = False
            except EtcdError:
                refused = True
        event("refused" if refused else "done")
        if refused:
            assert state(executor) == before
        assert executor.store.latest == executor.store.revision
        assert executor.store._changes == 0


@pytest.mark.parametrize("within_txn", [False, True])
def test_ignore_lease_with_a_lease_that_is_not_there(within_txn: bool) -> None:
    """What the key had cannot be kept: refused as if it had been named, before anything is written."""
    executor = made()
    before = state(executor)
    put = pb.PutRequest(key=b"gone", value=b"2", ignore_lease=True)
    first = pb.PutRequest(key=b"free", value=b"2")
    ops = [pb.RequestOp(request_put=first), pb.RequestOp(request_put=put)]
    kind, request = (
        (proposals.TXN, pb.TxnRequest(success=ops)) if within_txn else (proposals.PUT, put)
    )
    with pytest.raises(LeaseNotFound):
        executor.execute(kind, request)
    assert state(executor) == before
    executor.execute(proposals.PUT, first)
    assert executor.store.revision == before["revisions"][0] + 1
    executor.execute(proposals.PUT, pb.PutRequest(key=b"gone", value=b"3"))  # without it, it goes
    assert executor.lessor.attached == {b"known": KNOWN}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/0/members/a/attributes", "{"),
        ("/0/members/a/attributes", '["http://c:1"]'),
        ("/0/members/a/attributes", '{"name":"n","clientURLs":[1]}'),
        ("/0/members/zz/attributes", "{}"),
        ("/0/version", "three"),
    ],
)
def test_an_old_request_that_cannot_be_read(path: str, value: str) -> None:
    """It ends no member: all refuse it alike."""
    executor = made()
    before = state(executor)
    with pytest.raises(EtcdError, match="not a "):
        executor.execute(proposals.V2, V2Request("PUT", path, value))
    assert state(executor) == before


def test_a_cluster_version_that_is_none() -> None:
    """The leader could never decide from it."""
    executor = made()
    with pytest.raises(EtcdError, match="not a cluster version"):
        executor.execute(proposals.CLUSTER_VERSION_SET, mb.ClusterVersionSetRequest(ver="3.x"))
    assert executor.membership.version is None
