"""The first entries of a new cluster's log.

etcd begins the log with one membership change per initial member, at term 1, committed from the
start: all members write the same ones, so no election is needed to agree on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from ..errors import ConfigError
from . import membership
from .codec import encode_conf_change
from .types import NO_NODE, ConfChange, ConfChangeType, Entry, EntryType

if TYPE_CHECKING:
    from .raft import Raft

__all__ = ["Peer", "bootstrap"]


@attrs.frozen
class Peer:
    """An initial member; `context` goes into its membership change, as the application likes."""

    id: int
    context: bytes = b""


def bootstrap(raft: Raft, peers: Sequence[Peer]) -> None:
    """Append and commit the changes that make `peers` members. Raises ConfigError.

    They take effect at once, so that the node can campaign; the application gets them as
    committed entries all the same, and applies them again, which changes nothing.
    """
    if not peers:
        raise ConfigError("must provide at least one peer to Bootstrap")
    if raft.config.storage.last_index() != 0:
        raise ConfigError("can't bootstrap a nonempty Storage")
    raft.become_follower(1, NO_NODE)
    changes = [ConfChange(ConfChangeType.ADD_NODE, peer.id, peer.context) for peer in peers]
    raft.log.append(
        [
            Entry(1, index, EntryType.CONF_CHANGE, encode_conf_change(change))
            for index, change in enumerate(changes, 1)
        ]
    )
    raft.log.committed = len(changes)
    for change in changes:
        membership.apply(raft, change.as_v2())
