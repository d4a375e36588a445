"""Which member's data is not that of the others, by comparing hashes. Pure.

A hash covers the history of keys from the compaction up to a revision, so two are comparable only if both numbers
are the same. Source: etcd's corruptionChecker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import attrs

from ..mvcc.hashes import HashKV

__all__ = ["PeerHash", "Verdict", "compare_compaction", "find_culprit", "mismatches", "read_hash"]


@attrs.frozen
class PeerHash:
    """What a member answered to `/members/hashkv`."""

    hash: int
    compact_revision: int
    revision: int
    """Its latest revision, not the one that the hash is of."""


Peers = Mapping[int, PeerHash | None]
"""By member; None of one that did not answer."""


@attrs.frozen
class Verdict:
    """Of the hashes of one compaction.

    Attributes:
        final: there is no need to look at an older compaction.
        agreed: all members have the same hash.
        culprits: whose data is corrupt; 0 if that cannot be told.
    """

    final: bool
    agreed: bool = False
    culprits: tuple[int, ...] = ()


def read_hash(body: bytes) -> PeerHash | None:
    """Read an answer; None if it is not one."""
    try:
        record = json.loads(body)
        header = record.get("header") or {}
        return PeerHash(
            int(record.get("hash", 0)),
            int(record.get("compact_revision", 0)),
            int(header.get("revision", 0)),
        )
    except (ValueError, TypeError, AttributeError):
        return None


def find_culprit(
    mine: int, before: HashKV, after: HashKV, revision_after: int, peers: Peers
) -> int | None:
    """The member that the leader finds corrupt, or None.

    Args:
        mine: the leader.
        before: the leader's hash; the peers were asked for theirs at its revision.
        after: the leader's again, after a linearizable read.
        revision_after: the leader's revision then.
        peers: the hashes of the others.
    """
    if after.hash != before.hash and after[1:] == before[1:]:
        return mine
    for member, peer in sorted(peers.items()):
        if peer is None:
            continue
        ahead = peer.revision > revision_after or peer.compact_revision > after.compact_revision
        differs = peer.compact_revision == before.compact_revision and peer.hash != before.hash
        if ahead or differs:
            return member
    return None


def mismatches(mine: HashKV, peers: Peers) -> list[int]:
    """Who has another hash of the same history."""
    return [
        member
        for member, peer in sorted(peers.items())
        if peer is not None
        and peer.compact_revision == mine.compact_revision
        and peer.hash != mine.hash
    ]


def compare_compaction(leader: int, own: HashKV, peers: Peers) -> Verdict:
    """Compare the hashes of one compaction: the majority is right."""
    by_hash: dict[int, list[int]] = {own.hash: [leader]}
    compared = 0
    for member, peer in sorted(peers.items()):
        if peer is not None and peer.compact_revision == own.compact_revision:
            compared += 1
            by_hash.setdefault(peer.hash, []).append(member)
    if len(by_hash) == 1:
        whole = compared == len(peers)
        return Verdict(final=whole, agreed=whole)
    quorum = (len(peers) + 1) // 2 + 1
    right = next((same for same, members in by_hash.items() if len(members) >= quorum), None)
    if right is None:
        return Verdict(final=True, culprits=(0,))
    return Verdict(final=True, culprits=_others(by_hash, right))


def _others(by_hash: Mapping[int, Iterable[int]], right: int) -> tuple[int, ...]:
    wrong = (members for same, members in by_hash.items() if same != right)
    return tuple(sorted(member for members in wrong for member in members))
