"""The members of the cluster: the table in the backend.

The table is part of the replicated state: it changes only by `apply` and the `set_*` methods, which the applier
calls in the log's order, so that it is the same on every member. `membership_changes` says what the log holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import attrs

from ..backends.buffer import Backend
from ..errors import EtcdError, InvariantBroken
from ..raft.types import ConfChange, ConfChangeType, ConfState
from ..version import STORAGE_VERSION
from . import membership_changes
from .cluster_version import parse_version
from .member import Member, cluster_id, go_json, member_id

__all__ = ["Member", "Membership", "cluster_id", "member_id", "removed_ids"]

MEMBERS = "members"
REMOVED = "members_removed"
CLUSTER = "cluster"
META, STORAGE = "meta", b"storageVersion"
STORAGE_MARKED_FROM = (3, 6, 0)
STORAGE_UNMARKED = "3.5.0"


def removed_ids(backend: Backend) -> set[int]:
    """Every member that the cluster has ever removed."""
    return {int(key, 16) for key, _ in backend.range(REMOVED, b"", None)}


def _nothing(_member: Member) -> None:
    """Nobody wants to know."""


class Membership:
    """The replicated table of members and the cluster version, kept in the backend.

    Observers are called after a change, within the apply: `on_added` and `on_updated` (other peer URLs, or a
    learner promoted) with the member as it is now, `on_removed` with the member that was.
    """

    def __init__(self, backend: Backend, cluster: int) -> None:
        self.cluster_id = cluster
        self._backend = backend
        self.members: dict[int, Member] = {}
        self.removed: set[int] = set()
        self.version: str | None = None
        self.storage_version = STORAGE_UNMARKED  # of the backend's schema, see `follow_version`
        self.downgrade: tuple[bool, str] = (False, "")
        self.on_added: Callable[[Member], None] = _nothing
        self.on_updated: Callable[[Member], None] = _nothing
        self.on_removed: Callable[[Member], None] = _nothing
        self._load()

    def _load(self) -> None:
        rows = self._backend.range(MEMBERS, b"", None)
        self.members = {member.id: member for member in (Member.from_json(row) for _, row in rows)}
        self.removed = removed_ids(self._backend)
        version = self._backend.get(CLUSTER, b"clusterVersion")
        self.version = version.decode() if version else None
        downgrade = self._backend.get(CLUSTER, b"downgrade")
        record = json.loads(downgrade) if downgrade else {}
        self.downgrade = (record.get("enabled", False), record.get("target-version", ""))

    def reload(self) -> None:
        """Read the table again, after the backend's content has been replaced; tells the observers."""
        before = self.members
        self._load()
        self.follow_version()
        for member in before.values():
            if member.id not in self.members:
                self.on_removed(member)
        for member in self.members.values():
            known = before.get(member.id)
            if known is None:
                self.on_added(member)
            elif (known.peer_urls, known.is_learner) != (member.peer_urls, member.is_learner):
                self.on_updated(member)

    # --- looking --------------------------------------------------------------------------------

    def sorted(self) -> list[Member]:
        """All members by ID."""
        return sorted(self.members.values(), key=lambda member: member.id)

    def voters(self) -> list[Member]:
        """The members that are no learners, by ID."""
        return [member for member in self.sorted() if not member.is_learner]

    def is_learner(self, member: int) -> bool:
        """Whether `member` is known, and a learner."""
        known = self.members.get(member)
        return known is not None and known.is_learner

    def conf_state(self) -> ConfState:
        """The table as raft's configuration; at a restart it is what the backend's index stands for."""
        learners = tuple(member.id for member in self.sorted() if member.is_learner)
        return ConfState(tuple(member.id for member in self.voters()), learners)

    def validate(self, change: ConfChange) -> EtcdError | None:
        """Why `change` cannot be made in this state, or None; see `membership_changes.validate`."""
        return membership_changes.validate(change, self.members, self.removed)

    # --- changes --------------------------------------------------------------------------------

    def apply(self, change: ConfChange) -> EtcdError | None:
        """Carry out a committed change, or say why it is none.

        In the second case raft is told of a change of nobody (`node_id` 0), so that it knows that the change is
        over, and the proposer gets the error. All members decide alike.
        """
        error = self.validate(change)
        if error is not None:
            return error
        if change.type is ConfChangeType.REMOVE_NODE:
            self._remove(change.node_id)
            return None
        subject = membership_changes.decode(change.context)
        assert subject is not None, "validated"
        known = self.members.get(change.node_id)
        if known is None:
            self.add(subject.member)
            self.on_added(subject.member)
        else:
            if subject.is_promote:
                known = attrs.evolve(known, is_learner=False)
            else:  # nothing but the URLs: an update must not make a learner a voter
                known = attrs.evolve(known, peer_urls=subject.member.peer_urls)
            self.add(known)
            self.on_updated(known)
        return None

    def add(self, member: Member) -> None:
        """Add or replace a member."""
        if member.id in self.removed:
            raise InvariantBroken(f"member {member.id:x} was removed, and is to be added again")
        self.members[member.id] = member
        self._backend.put(MEMBERS, b"%x" % member.id, member.to_json())

    def _remove(self, member: int) -> None:
        gone = self.members.pop(member)
        self.removed.add(member)
        self._backend.delete(MEMBERS, b"%x" % member)
        self._backend.put(REMOVED, b"%x" % member, b"removed")
        self.on_removed(gone)

    def set_attributes(self, member: int, name: str, client_urls: Sequence[str]) -> None:
        """What a member publishes of itself when it has started."""
        known = self.members.get(member)
        if known is not None:
            self.add(attrs.evolve(known, name=name, client_urls=tuple(client_urls)))

    def set_version(self, version: str) -> None:
        """The cluster version that the leader decided, such as "3.6.0"."""
        self.version = version
        self._backend.put(CLUSTER, b"clusterVersion", version.encode())
        self.follow_version()

    def follow_version(self) -> None:
        """Mark the backend with the schema's version that goes with the cluster's; before 3.6 there was no mark.

        Each member does so for itself, beside the log. Source: etcd's monitorStorageVersion.
        """
        version = parse_version(self.version or "")
        wanted = None
        if version is not None and version >= STORAGE_MARKED_FROM:
            newest = parse_version(STORAGE_VERSION)
            wanted = STORAGE_VERSION if newest is None or version >= newest else self.version
        stored = self._backend.get(META, STORAGE)
        if wanted is None and stored is not None:
            self._backend.delete(META, STORAGE)
        elif wanted is not None and wanted.encode() != stored:
            self._backend.put(META, STORAGE, wanted.encode())
        self.storage_version = wanted or STORAGE_UNMARKED

    def set_downgrade(self, enabled: bool, target: str) -> None:
        """Whether a downgrade is under way, and to which version."""
        self.downgrade = (enabled, target)
        record = {"target-version": target, "enabled": enabled}
        self._backend.put(CLUSTER, b"downgrade", go_json(record))
