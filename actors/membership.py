"""The members of the cluster: identities, and the table of members in the backend.

Source: etcd's membership package. A member's ID is the first eight bytes, big-endian, of the SHA-1 of its
sorted peer URLs joined together and followed by the cluster token (for a statically bootstrapped member)
or by the decimal unix time (for one that is added at run time). The cluster's ID is the same over the sorted
member IDs of the first configuration.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from ..backends.buffer import Backend

__all__ = ["Member", "Membership", "cluster_id", "member_id"]

MEMBERS = "members"
REMOVED = "members_removed"
CLUSTER = "cluster"


def _first_eight(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


def member_id(peer_urls: Iterable[str], token: str) -> int:
    """The ID of a member that starts with the cluster."""
    return _first_eight("".join(sorted(peer_urls)).encode() + token.encode())


def cluster_id(member_ids: Iterable[int]) -> int:
    """The ID of a cluster from its first members."""
    return _first_eight(b"".join(n.to_bytes(8, "big") for n in sorted(member_ids)))


@attrs.frozen
class Member:
    """One member as etcd stores it: JSON under its hexadecimal ID."""

    id: int
    peer_urls: tuple[str, ...]
    name: str = ""
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False

    def to_json(self) -> bytes:
        """Etcd's encoding: zero values are left out, in Go's field order."""
        record: dict[str, Any] = {"id": self.id, "peerURLs": list(self.peer_urls)}
        if self.is_learner:
            record["isLearner"] = True
        if self.name:
            record["name"] = self.name
        if self.client_urls:
            record["clientURLs"] = list(self.client_urls)
        return json.dumps(record, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Member:
        """Read what `to_json` or etcd wrote."""
        record = json.loads(data)
        return cls(
            id=record["id"],
            peer_urls=tuple(record.get("peerURLs") or ()),
            name=record.get("name", ""),
            client_urls=tuple(record.get("clientURLs") or ()),
            is_learner=record.get("isLearner", False),
        )


class Membership:
    """The replicated table of members and the cluster version, kept in the backend."""

    def __init__(self, backend: Backend, cluster: int) -> None:
        self.cluster_id = cluster
        self._backend = backend
        self.members: dict[int, Member] = {}
        self.removed: set[int] = set()
        self.version: str | None = None
        self.downgrade: tuple[bool, str] = (False, "")
        self._load()

    def _load(self) -> None:
        for _, value in self._backend.range(MEMBERS, b"", None):
            member = Member.from_json(value)
            self.members[member.id] = member
        self.removed = {int(key, 16) for key, _ in self._backend.range(REMOVED, b"", None)}
        version = self._backend.get(CLUSTER, b"clusterVersion")
        self.version = version.decode() if version else None
        downgrade = self._backend.get(CLUSTER, b"downgrade")
        if downgrade:
            record = json.loads(downgrade)
            self.downgrade = (record["enabled"], record["target-version"])

    def add(self, member: Member) -> None:
        """Add or replace a member."""
        assert member.id not in self.removed, "a removed ID never comes back"
        self.members[member.id] = member
        self._backend.put(MEMBERS, b"%x" % member.id, member.to_json())

    def set_attributes(self, member: int, name: str, client_urls: Sequence[str]) -> None:
        """What a member publishes of itself when it has started."""
        known = self.members.get(member)
        if known is not None:
            self.add(attrs.evolve(known, name=name, client_urls=tuple(client_urls)))

    def set_version(self, version: str) -> None:
        """The cluster version that the leader decided, such as "3.6.0"."""
        self.version = version
        self._backend.put(CLUSTER, b"clusterVersion", version.encode())

    def set_downgrade(self, enabled: bool, target: str) -> None:
        """Whether a downgrade is under way, and to which version."""
        self.downgrade = (enabled, target)
        record = {"target-version": target, "enabled": enabled}
        value = json.dumps(record, separators=(",", ":")).encode()
        self._backend.put(CLUSTER, b"downgrade", value)
