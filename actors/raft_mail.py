"""What the raft peer is told by the other actors of its node; the calls of clients come besides."""

from __future__ import annotations

import attrs

from ..raft.types import ConfChange, ConfState
from .call import Call

__all__ = [
    "AdvanceTicks",
    "Campaign",
    "CompactLog",
    "Installed",
    "Look",
    "ProposeAsLeader",
    "ProposeChange",
    "SnapshotSent",
    "Tick",
    "TransferLeader",
    "Unreachable",
]


class Tick:
    """One heartbeat interval has passed."""


class Look:
    """Raft was changed by a direct call: see what there is to do."""


class Installed:
    """The snapshot that raft handed out has become the state."""


@attrs.frozen
class AdvanceTicks:
    """Act as if so many heartbeat intervals had passed."""

    ticks: int


@attrs.frozen
class Campaign:
    """Stand for election now: a single voter need not wait for its timeout."""


@attrs.frozen
class TransferLeader:
    """Hand leadership over to a voter, if this member leads; raft gives up after an election timeout."""

    to: int


@attrs.frozen
class ProposeChange:
    """Propose a membership change whose `id` is a request ID of this member's; `call` waits for it."""

    change: ConfChange
    call: Call


@attrs.frozen
class ProposeAsLeader:
    """Propose something that only the leader of `term` may; it is never passed on, nor held for another."""

    term: int
    call: Call


@attrs.frozen
class Unreachable:
    """The last message to a member could not be sent."""

    member: int


@attrs.frozen
class SnapshotSent:
    """A snapshot has reached a member, or could not."""

    member: int
    failed: bool


@attrs.frozen
class CompactLog:
    """The state up to `index` is in a durable snapshot; raft may forget entries before `keep_from`."""

    index: int
    keep_from: int
    conf_state: ConfState
