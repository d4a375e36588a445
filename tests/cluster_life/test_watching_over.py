"""The leader's decisions: the cluster's version, and whose data is corrupt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.actors.cluster_version import InvalidTarget, decide, downgrade_done, server_version
from triode.actors.corruption import (
    PeerHash,
    Verdict,
    compare_compaction,
    find_culprit,
    mismatches,
    read_hash,
)
from triode.mvcc.hashes import HashKV

NO: tuple[bool, str] = (False, "")
DOWN: tuple[bool, str] = (True, "3.5.0")


@pytest.mark.parametrize(
    ("current", "servers", "downgrade", "decided"),
    [
        (None, ["3.6.0", "3.6.4"], NO, "3.6.0"),
        (None, ["3.6.0", "3.5.9"], NO, "3.5.0"),
        (None, ["3.6.0", None], NO, "3.0.0"),  # at first by those who are there; raised later
        (None, ["3.6.0", "nonsense"], NO, "3.0.0"),
        ("3.0.0", ["3.6.0", None], NO, None),
        ("3.0.0", ["3.6.0", "3.6.1"], NO, "3.6.0"),
        ("3.6.0", ["3.6.0", "3.6.9"], NO, None),
        ("3.6.0", ["3.6.0", "3.5.0"], NO, None),  # never lower without a downgrade
        ("3.5.0", ["3.6.0", "3.6.0"], NO, "3.6.0"),
        ("3.6.0", ["4.0.0"], NO, None),
        ("3.6.0", ["3.6.0", "3.6.1"], DOWN, "3.5.0"),
        ("3.5.0", ["3.6.0", "3.5.1"], DOWN, None),
        ("3.6.0", ["3.6.0", None], DOWN, None),
    ],
)
def test_the_version_of_the_cluster(
    current: str | None, servers: list[str | None], downgrade: tuple[bool, str], decided: str | None
) -> None:
    """The lowest of the members', and a downgrade's target while there is one."""
    assert decide(current, servers, downgrade) == decided


@pytest.mark.parametrize(
    ("current", "servers", "target"),
    [("3.6.0", ["3.6.0"], "3.4.0"), ("3.6.0", ["3.7.0"], "3.5.0"), ("3.6.0", ["3.6.0"], "x")],
)
def test_a_downgrade_that_cannot_be(current: str, servers: list[str | None], target: str) -> None:
    """One minor version, and all members must be able to go there."""
    with pytest.raises(InvalidTarget, match="no way down"):
        decide(current, servers, (True, target))


@pytest.mark.parametrize(
    ("servers", "done"),
    [
        (["3.5.0", "3.5.9"], True),
        (["3.5.0", "3.6.0"], False),
        (["3.5.0", None], False),
        (["3.5.0", "?"], False),
    ],
)
def test_the_end_of_a_downgrade(servers: list[str | None], done: bool) -> None:
    """When every member is known to be of the target's version."""
    assert downgrade_done("3.5.0", servers) is done


@given(st.binary())
def test_pages_of_anything(body: bytes) -> None:
    """What is no answer is none."""
    server_version(body)
    read_hash(body)


def test_pages() -> None:
    assert server_version(b'{"etcdserver":"3.6.1","etcdcluster":"3.6.0"}') == "3.6.1"
    assert server_version(b'{"etcdserver":"3"}') is None
    body = b'{"header":{"revision":9},"hash":7,"compact_revision":3,"hash_revision":8}'
    assert read_hash(body) == PeerHash(7, 3, 9)
    assert read_hash(b"{}") == PeerHash(0, 0, 0)
    assert read_hash(b"[]") is None


# --- hashes of the present ----------------------------------------------------------------------

OWN = HashKV(hash=11, compact_revision=3, hash_revision=10)
SAME = PeerHash(11, 3, 10)


@pytest.mark.parametrize(
    ("after", "revision_after", "peers", "culprit"),
    [
        (OWN, 10, {2: SAME, 3: SAME}, None),
        (OWN, 10, {2: SAME, 3: None}, None),
        (HashKV(12, 3, 10), 10, {2: SAME}, 1),  # the leader's own changed without a write
        (HashKV(12, 3, 11), 11, {2: SAME}, None),
        (HashKV(12, 4, 10), 10, {2: SAME}, None),
        (OWN, 10, {2: PeerHash(99, 3, 10), 3: SAME}, 2),
        (OWN, 10, {2: SAME, 3: PeerHash(99, 3, 10)}, 3),
        (OWN, 10, {3: PeerHash(99, 3, 10), 2: PeerHash(99, 3, 10)}, 2),  # one at a time
        (OWN, 10, {2: PeerHash(99, 2, 10)}, None),  # of another history: cannot be compared
        (OWN, 10, {2: PeerHash(11, 3, 11)}, 2),  # ahead of the leader
        (HashKV(12, 3, 11), 11, {2: PeerHash(11, 3, 11)}, None),
        (OWN, 10, {2: PeerHash(99, 4, 10)}, 2),  # has compacted what the leader has not
        (HashKV(12, 4, 10), 10, {2: PeerHash(99, 4, 10)}, None),
    ],
)
def test_who_is_corrupt_now(
    after: HashKV, revision_after: int, peers: dict[int, PeerHash | None], culprit: int | None
) -> None:
    """Etcd's rules for the periodic check."""
    assert find_culprit(1, OWN, after, revision_after, peers) == culprit


def test_at_the_start() -> None:
    """Who has another hash of the same history."""
    peers = {2: SAME, 3: PeerHash(99, 3, 10), 4: PeerHash(99, 2, 10), 5: None}
    assert mismatches(OWN, peers) == [3]


# --- hashes of compactions ----------------------------------------------------------------------

BAD, WORSE, OTHER = PeerHash(98, 3, 10), PeerHash(97, 3, 10), PeerHash(99, 2, 10)


@pytest.mark.parametrize(
    ("peers", "verdict"),
    [
        ({2: SAME, 3: SAME}, Verdict(final=True, agreed=True)),
        ({2: SAME, 3: None}, Verdict(final=False)),
        ({2: SAME, 3: OTHER}, Verdict(final=False)),
        ({2: None, 3: OTHER}, Verdict(final=False)),
        ({2: SAME, 3: BAD}, Verdict(final=True, culprits=(3,))),
        ({2: BAD, 3: BAD}, Verdict(final=True, culprits=(1,))),
        ({2: BAD, 3: WORSE}, Verdict(final=True, culprits=(0,))),
        ({2: BAD}, Verdict(final=True, culprits=(0,))),
        ({2: BAD, 3: None}, Verdict(final=True, culprits=(0,))),
        ({2: SAME, 3: SAME, 4: WORSE, 5: BAD}, Verdict(final=True, culprits=(4, 5))),
    ],
)
def test_who_is_corrupt_at_a_compaction(
    peers: dict[int, PeerHash | None], verdict: Verdict
) -> None:
    """The majority is right; without one nobody can say who is not."""
    assert compare_compaction(1, OWN, peers) == verdict
