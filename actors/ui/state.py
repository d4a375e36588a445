"""What the page shows that no RPC tells, as JSON values; docs/ui.md describes them.

All of it is this member's own view, read in one turn and without asking anybody: it is there when there is no
leader, and a page that polls costs the cluster nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

import trio

from ...mvcc.alarm import NAMES as ALARM_NAMES
from ...mvcc.revision import MAIN_SHIFT, TOMBSTONE
from ...rpc.ui_paths import KeyQuery
from ...version import SERVER_VERSION, TRIODE_VERSION
from ..actor import Actor
from ..context import NodeContext
from ..member import Member
from ..supervisor import Supervisor

__all__ = ["CHILDREN_MAX", "actors", "key", "node"]

CHILDREN_MAX: Final = 100  # of one supervisor: there may be a connection for each of 65 536 clients

Json = dict[str, Any]


def node(context: NodeContext, mode: str) -> Json:
    """One member: who it is, how far it is, what it knows of the others."""
    raft, store, membership = context.raft, context.store, context.membership
    watches, leases = context.hub.statistics(), context.lessor.statistics()
    return {
        "ui": mode,
        "name": context.config.name,
        "member_id": f"{context.member_id:x}",
        "cluster_id": f"{membership.cluster_id:x}",
        "version": {
            "triode": TRIODE_VERSION,
            "server": SERVER_VERSION,
            "cluster": membership.version,
            "storage": membership.storage_version,
        },
        "raft": {
            "leader": f"{raft.leader:x}" if raft.leader else None,
            "term": raft.term,
            "last_index": raft.last_index,
            "commit_index": raft.commit_index,
            "applied_index": context.applied_index(),
        },
        "store": {
            "revision": store.revision,
            "compact_revision": store.compact_revision,
            "keys": len(store.index.keys) - len(store.index.dead),
            "backend": context.config.backend,
            "size_bytes": context.backend.size(),
            "in_use_bytes": context.backend.size_in_use(),
            "quota_bytes": context.quota.limit_bytes,
        },
        "leases": {"count": leases.leases, "keys": leases.keys},
        "watches": {"streams": watches.streams, "watchers": watches.watchers},
        "alarms": [
            {"member_id": f"{alarm.member_id:x}", "alarm": ALARM_NAMES.get(alarm.kind, "UNKNOWN")}
            for alarm in context.alarms.get()
        ],
        "members": [_member(context, member) for member in membership.sorted()],
    }


def _member(context: NodeContext, member: Member) -> Json:
    """How far a member is, is known to its leader; whether it can be reached, to each other member."""
    raft, itself = context.raft, member.id == context.member_id
    since = None if itself else context.peers.active_since(member.id)
    return {
        "id": f"{member.id:x}",
        "name": member.name,
        "peer_urls": list(member.peer_urls),
        "client_urls": list(member.client_urls),
        "learner": member.is_learner,
        "leader": member.id == raft.leader,
        "self": itself,
        "reachable": True if itself else since is not None,
        "reachable_seconds": None if since is None else round(context.world.clock.now() - since, 3),
        "match_index": raft.match_index(member.id),
    }


def key(context: NodeContext, query: KeyQuery) -> Json:
    """When a key was changed, the latest first, as far as it is not compacted. Its values are read by Range."""
    store = context.store
    entry = store.index.keys.get(query.key)
    changes = [] if entry is None else [*(entry.history or ()), entry.modified]
    end = bisect_left(changes, query.before << MAIN_SHIFT) if query.before > 0 else len(changes)
    wanted = changes[max(0, end - query.limit) : end]
    return {
        "revision": store.revision,
        "compact_revision": store.compact_revision,
        "total": len(changes),
        "revisions": [
            {"revision": one >> MAIN_SHIFT, "deleted": bool(one & TOMBSTONE)}
            for one in reversed(wanted)
        ],
    }


def actors(root: Callable[[], Supervisor]) -> Json:
    """The tree of the member's actors."""
    return {"actors": _actor(root(), trio.current_time())}


def _actor(actor: Actor[Any], now: float) -> Json:
    own = actor.statistics()
    children = actor.children if isinstance(actor, Supervisor) else ()
    return {
        "name": own.name,
        "state": own.state.value,
        "state_seconds": None if own.since is None else round(now - own.since, 3),
        "mailbox_depth": own.mailbox_depth,
        "mailbox_depth_max": own.mailbox_depth_max,
        "mailbox_messages_max": own.mailbox_messages_max,
        "messages_handled": own.messages_handled,
        "batches_handled": own.batches_handled,
        "restarts": own.restarts,
        "last_error": own.last_error,
        "children": [_actor(child, now) for child in children[:CHILDREN_MAX]],
        "children_left_out": max(0, len(children) - CHILDREN_MAX),
    }
