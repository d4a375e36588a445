"""When a member acts as the leader.

Raft makes a member the leader as soon as it has the votes. Its state machine may be behind then: entries of earlier
terms may not be applied yet, or a snapshot of the leader before it is still being installed. What only the leader
does (counting the time of leases, watching over the cluster, answering reads by itself when it is alone) must not
start from such a state, and must not be forgotten because the state was not ready at the moment of the election.

So all of it starts and stops here. A member is *active* as the leader while raft leads and an entry of its term has
been applied. Entries are applied in order, after an install that is under way, so everything that was committed
before the election is part of the state by then (Raft paper, section 8). It stops when raft has another leader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

__all__ = ["Leading"]


class _Raft(Protocol):
    term: int

    @property
    def is_leader(self) -> bool: ...


class Leading:
    """Whether this member acts as the leader.

    Attributes:
        active: see the module.
        pending: raft leads, and the state is not ready yet: `look` again after each batch of applied entries.
        on_change: called with `active` whenever it has changed.
    """

    def __init__(self, raft: _Raft, applied_term: Callable[[], int]) -> None:
        """`applied_term` gives the term of the last applied entry."""
        self._raft = raft
        self._applied_term = applied_term
        self._changed = trio.Event()
        self.active = False
        self.pending = False
        self.on_change: Callable[[bool], None]

    def look(self) -> None:
        """To be called when raft's leader or term has changed, and after applied entries while `pending`."""
        raft = self._raft
        leads = raft.is_leader
        active = leads and self._applied_term() == raft.term
        self.pending = leads and not active
        if active != self.active:
            self.active = active
            self._changed.set()
            self._changed = trio.Event()
            self.on_change(active)

    async def wait_change(self) -> None:
        """Return when `active` has changed."""
        await self._changed.wait()
