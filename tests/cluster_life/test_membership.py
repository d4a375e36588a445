"""The table of members: what each change does, and which are refused."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.actors import membership_changes as changes
from triode.actors.member import Member, cluster_id, go_json, member_id
from triode.actors.membership import Membership, removed_ids
from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.errors import (
    EtcdError,
    MemberExist,
    MemberNotEnoughStarted,
    MemberNotFound,
    MemberNotLearner,
    PeerURLExist,
    TooManyLearners,
)
from triode.raft.types import ConfChange, ConfChangeType, ConfState

A = Member(0xA, ("http://10.0.0.1:2380",), name="a", client_urls=("http://10.0.0.1:2379",))
B = Member(0xB, ("http://10.0.0.2:2380",), name="b")
L = Member(0xD, ("http://10.0.0.4:2380",), is_learner=True)


def filled(membership: Membership) -> Membership:
    for member in (A, B, L):
        assert membership.apply(changes.add(member)) is None
    return membership


# --- identities and JSON ------------------------------------------------------------------------


def test_ids_as_etcd_computes_them() -> None:
    """Values that etcd 3.5.1 printed for these URLs and this token."""
    assert member_id(["http://localhost:2380"], "etcd-cluster") == 0x8E9E05C52164694D
    assert cluster_id([0x8E9E05C52164694D]) == 0xCDF818194E3A8C32
    assert member_id(["b", "a"], "t") == member_id(["a", "b"], "t")
    assert member_id(["a"], "", 1700000000) == member_id(["a"], "1700000000")


def test_json_is_that_of_go() -> None:
    """In Go's order of fields, zeros left out, and the escapes that it makes for HTML."""
    assert A.to_json() == (
        b'{"id":10,"peerURLs":["http://10.0.0.1:2380"],"name":"a","clientURLs":["http://10.0.0.1:2379"]}'
    )
    assert L.to_json() == b'{"id":13,"peerURLs":["http://10.0.0.4:2380"],"isLearner":true}'
    assert changes.promote(13).context == b'{"id":13,"peerURLs":null,"isPromote":true}'
    assert go_json("<a&b>\u2028é") == '"\\u003ca\\u0026b\\u003e\\u2028é"'.encode()


def test_the_ways_of_a_context() -> None:
    """Each kind of change has etcd's type and says whom it is about."""
    assert changes.add(A).type is ConfChangeType.ADD_NODE
    assert changes.add(L).type is ConfChangeType.ADD_LEARNER_NODE
    assert changes.decode(changes.add(A).context) == changes.Subject(A)
    promoted = changes.decode(changes.promote(13).context)
    assert promoted is not None and promoted.is_promote and promoted.member.id == 13
    assert changes.remove(10) == ConfChange(ConfChangeType.REMOVE_NODE, 10)
    etcds = b'{"id":9372538179322589801,"peerURLs":["x"],"name":"n","isPromote":false}'
    assert changes.decode(etcds) == changes.Subject(Member(9372538179322589801, ("x",), "n"))


@given(st.binary())
def test_a_context_of_anything(data: bytes) -> None:
    """It is read or it is none; a peer cannot make every member fail."""
    changes.decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"1", b"{}", b'{"id":"x"}', b'{"id":1,"peerURLs":[1]}', b"\xff"]
)
def test_what_is_no_context(data: bytes, membership: Membership) -> None:
    """A change with it is refused and changes nothing."""
    assert changes.decode(data) is None
    error = filled(membership).apply(ConfChange(ConfChangeType.ADD_NODE, 0xE, data))
    assert error is not None
    assert set(membership.members) == {0xA, 0xB, 0xD}


# --- changes ------------------------------------------------------------------------------------


def test_a_life(membership: Membership, backend: Backend) -> None:
    """Added as a learner, promoted, moved, removed; a table that is read again is the same."""
    filled(membership)
    assert membership.conf_state() == ConfState((0xA, 0xB), (0xD,))
    assert membership.is_learner(0xD)
    assert membership.apply(changes.promote(0xD)) is None
    assert membership.conf_state() == ConfState((0xA, 0xB, 0xD))
    assert membership.apply(changes.update(0xD, ("http://10.0.0.9:1",))) is None
    assert membership.members[0xD] == Member(0xD, ("http://10.0.0.9:1",))
    assert membership.apply(changes.remove(0xB)) is None
    assert (set(membership.members), membership.removed) == ({0xA, 0xD}, {0xB})
    again = Membership(backend, 0xC)
    assert (again.members, again.removed) == (membership.members, membership.removed)
    assert removed_ids(backend) == {0xB}
    assert backend.get("members_removed", b"b") == b"removed"
    assert [member.id for member in again.sorted()] == [0xA, 0xD]


def test_an_update_is_of_urls_only(membership: Membership) -> None:
    """A learner stays one, and name and client URLs stay (etcd issue 21736)."""
    filled(membership)
    assert membership.apply(changes.update(0xD, ("http://10.0.0.9:1",))) is None
    assert membership.is_learner(0xD)
    assert membership.apply(changes.update(0xA, ("http://10.0.0.8:1",))) is None
    assert membership.members[0xA] == attrs.evolve(A, peer_urls=("http://10.0.0.8:1",))


NEW = Member(0xE, ("http://10.0.0.5:2380",))
REFUSED = [
    (changes.add(attrs.evolve(NEW, id=0xF)), MemberNotFound),  # removed for ever
    (changes.remove(0xF), MemberNotFound),
    (changes.promote(0xF), MemberNotFound),
    (changes.update(0xF, ("http://x:1",)), MemberNotFound),
    (changes.add(attrs.evolve(NEW, id=0xA)), MemberExist),
    (changes.add(attrs.evolve(NEW, id=0xA, is_learner=True)), MemberExist),
    (changes.add(attrs.evolve(NEW, peer_urls=B.peer_urls)), PeerURLExist),
    (changes.add(attrs.evolve(NEW, peer_urls=("http://y:1", *L.peer_urls))), PeerURLExist),
    (changes.promote(0xE), MemberNotFound),
    (changes.promote(0xA), MemberNotLearner),
    (changes.update(0xE, ("http://x:1",)), MemberNotFound),
    (changes.update(0xA, B.peer_urls), PeerURLExist),
    (changes.remove(0xE), MemberNotFound),
    (attrs.evolve(changes.add(NEW), node_id=0xE1), EtcdError),
]


@pytest.mark.parametrize(("change", "error"), REFUSED)
def test_refused_changes(
    change: ConfChange, error: type[EtcdError], membership: Membership, backend: Backend
) -> None:
    """What cannot be made is said, changes nothing and tells nobody."""
    filled(membership)
    assert membership.apply(changes.add(Member(0xF, ("http://10.0.0.15:1",)))) is None
    assert membership.apply(changes.remove(0xF)) is None
    before = dict(membership.members)
    told: list[object] = []
    membership.on_added = membership.on_updated = membership.on_removed = told.append
    refusal = membership.apply(change)
    assert isinstance(refusal, error)
    assert membership.members == before == Membership(backend, 0xC).members
    assert told == []


def test_own_urls_may_stay(membership: Membership) -> None:
    """An update that keeps some of the member's own URLs is no conflict."""
    filled(membership)
    assert membership.apply(changes.update(0xA, (*A.peer_urls, "http://z:1"))) is None


def test_the_last_voter_stays(membership: Membership) -> None:
    """A cluster of learners could never elect anybody."""
    filled(membership)
    assert membership.apply(changes.remove(0xA)) is None
    assert isinstance(membership.apply(changes.remove(0xB)), MemberNotEnoughStarted)
    assert membership.apply(changes.remove(0xD)) is None


def test_observers(membership: Membership) -> None:
    """The links hear of each change once, with the member as it is."""
    told: list[tuple[str, Member]] = []
    membership.on_added = lambda member: told.append(("added", member))
    membership.on_updated = lambda member: told.append(("updated", member))
    membership.on_removed = lambda member: told.append(("removed", member))
    filled(membership)
    membership.apply(changes.promote(0xD))
    membership.apply(changes.update(0xB, ("http://x:1",)))
    membership.set_attributes(0xB, "beta", ["http://c:1"])
    membership.apply(changes.remove(0xA))
    voter = attrs.evolve(L, is_learner=False)
    assert told == [
        ("added", A),
        ("added", B),
        ("added", L),
        ("updated", voter),
        ("updated", attrs.evolve(B, peer_urls=("http://x:1",))),
        ("removed", A),
    ]


def test_reload_after_a_snapshot(membership: Membership, backend: Backend) -> None:
    """What the replaced content differs in is told as if it had been changed one by one."""
    filled(membership)
    newer = Backend(MemoryEngine.open(None, EngineOptions()))
    other = filled(Membership(newer, 0xC))
    other.apply(changes.remove(0xA))
    other.apply(changes.promote(0xD))
    other.apply(changes.add(NEW))
    other.set_version("3.6.0")
    other.set_downgrade(True, "3.5.0")
    told: list[tuple[str, int]] = []
    membership.on_added = lambda member: told.append(("added", member.id))
    membership.on_updated = lambda member: told.append(("updated", member.id))
    membership.on_removed = lambda member: told.append(("removed", member.id))
    for bucket in ("members", "members_removed", "cluster"):
        for key, _ in backend.range(bucket, b"", None):
            backend.delete(bucket, key)
        for key, value in newer.range(bucket, b"", None):
            backend.put(bucket, key, value)
    membership.reload()
    assert (membership.members, membership.removed) == (other.members, {0xA})
    assert (membership.version, membership.downgrade) == ("3.6.0", (True, "3.5.0"))
    assert told == [("removed", 0xA), ("updated", 0xD), ("added", 0xE)]


@pytest.mark.parametrize(("most", "more", "many"), [(1, 0, False), (1, 1, True), (0, 0, True)])
def test_how_many_learners(most: int, more: int, many: bool, membership: Membership) -> None:
    """The bound is for what there is and what is to come."""
    filled(membership)
    if many:
        with pytest.raises(TooManyLearners):
            changes.check_learners(membership.members, most, more=more)
    else:
        changes.check_learners(membership.members, most, more=more)


def test_downgrade_is_stored_as_etcd_does(membership: Membership, backend: Backend) -> None:
    """In the bucket `cluster`, as JSON."""
    membership.set_downgrade(True, "3.5.0")
    stored = backend.get("cluster", b"downgrade")
    assert stored is not None
    assert json.loads(stored) == {"target-version": "3.5.0", "enabled": True}
