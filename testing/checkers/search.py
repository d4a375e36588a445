"""The search for an order of operations: Wing and Gong's, with Lowe's memory of what was tried.

Operations are put one after the other, each at a moment between its call and its return; a set of operations
that was put already, together with the state it led to, need not be tried again. On its own that takes forever with
dozens of operations of unknown result. etcd's answers tell more than most stores' do, and all of it is used:

* A header's revision is that of the very moment: it says after how many writes the operation was done. So the
  writes that were answered are in order already, and a revision is only left when everything
  that was answered at it has been put.
* What changes nothing is put as soon as it fits: that can spoil nothing for the others.
* What has an unknown result is put only where a revision has no known author, and only if it does there what
  anybody was shown of that revision (`evidence`).
* Grants, revocations and compactions of unknown result make no revision. They are put in front of the first
  operation whose answer proves them, and not before.

Leases end by themselves: of every lease there is a revocation of unknown result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import attrs

from .evidence import Evidence
from .items import Item, Kind, Prepared
from .model import COMPACTED, LEASE_NOT_FOUND, Change, State, Step, step
from .requests import Compact, Grant, Granted, Revoke

__all__ = ["Placed", "Search", "Stuck"]


class Placed(NamedTuple):
    """One operation in the order that was found, with the state after it."""

    item: Item
    state: State
    changes: tuple[Change, ...]


@attrs.frozen
class Stuck:
    """Where the search came furthest: the last that were put, and what could not be put next."""

    count: int
    state: State
    last: tuple[Placed, ...]
    enabled: tuple[Item, ...]
    mask: int


class _Frame(NamedTuple):
    state: State
    mark: int  # length of the order before this frame's operations
    moves: Iterator[tuple[Item, Step]]


class Search:
    """One search. `run` says True (there is an order), False (there is none) or None (too many steps)."""

    def __init__(
        self, prepared: Prepared, evidence: Evidence, initial: State, steps_max: int
    ) -> None:
        self.order: list[Placed] = []
        self.stuck: Stuck | None = None
        self.steps = 0
        self._steps_max = steps_max
        self._items = prepared.items
        self._optional = prepared.optional
        self._owners = prepared.owners
        self._evidence = evidence
        self._initial = initial
        self._past = {initial.revision: initial.keys}
        self._mask = 0
        self._tried: set[tuple[int, tuple[int, int, frozenset[int], int]]] = set()
        self._pending = Counter(
            item.revision
            for item in self._items
            if item.revision and item.kind not in (Kind.OPTIONAL, Kind.SEEN)
        )
        self._granted = Counter(
            item.request.lease for item in self._items if isinstance(item.request, Grant)
        )
        self._link()

    # --- the list of calls and returns ----------------------------------------------------------

    def _link(self) -> None:
        """A doubly linked list: node i is the call of item i, n + i its return, 2n the head."""
        count = self._count = len(self._items)
        nodes = []
        for item in self._items:
            if item.returned is not None:
                nodes.append((item.call, item.number))
                nodes.append((item.returned, count + item.number))
        nodes.sort()
        ring = [2 * count, *(node for _, node in nodes), 2 * count]
        self._next = [0] * (2 * count + 1)
        self._prev = [0] * (2 * count + 1)
        for before, after in pairwise(ring):
            self._next[before] = after
            self._prev[after] = before

    def _unlink(self, node: int) -> None:
        before, after = self._prev[node], self._next[node]
        self._next[before] = after
        self._prev[after] = before

    def _relink(self, node: int) -> None:
        self._next[self._prev[node]] = node
        self._prev[self._next[node]] = node

    def _enabled(self) -> list[Item]:
        """What may come next: called before the first return of all that is not put yet."""
        found = []
        node = self._next[2 * self._count]
        while node < self._count:
            found.append(self._items[node])
            node = self._next[node]
        return found

    def _first_return(self) -> int:
        node = self._next[2 * self._count]
        while node < self._count:
            node = self._next[node]
        returned = self._items[node - self._count].returned
        assert returned is not None
        return returned

    @property
    def _done(self) -> bool:
        return self._next[2 * self._count] == 2 * self._count

    # --- putting and taking back ----------------------------------------------------------------

    def _put(self, item: Item, made: Step) -> None:
        if item.returned is not None:
            self._unlink(item.number)
            self._unlink(self._count + item.number)
            self._pending[item.revision] -= item.kind is not Kind.SEEN
        self._mask |= item.bit
        self.order.append(Placed(item, made.state, made.changes))
        if made.changes:
            self._past[made.state.revision] = made.state.keys

    def _take_back(self, mark: int) -> None:
        while len(self.order) > mark:
            item = self.order.pop().item
            if item.returned is not None:
                self._relink(self._count + item.number)
                self._relink(item.number)
                self._pending[item.revision] += item.kind is not Kind.SEEN
            self._mask ^= item.bit

    # --- the search -----------------------------------------------------------------------------

    def run(self) -> bool | None:
        """See the class."""
        self._settle(self._initial)
        self._note(self._initial)
        frames = [_Frame(self._initial, 0, self._moves(self._initial))]
        while not self._done:
            if self.steps > self._steps_max:
                return None
            move = next(frames[-1].moves, None)
            if move is None:
                self._take_back(frames.pop().mark)
                if not frames:
                    return False
                continue
            mark = len(self.order)
            item, made = move
            self._put(item, made)
            self._settle(made.state)
            place = (self._mask, made.state.identity)
            if place in self._tried:
                self._take_back(mark)
                continue
            self._tried.add(place)
            if self.stuck is None or len(self.order) > self.stuck.count:
                self._note(made.state)
            frames.append(_Frame(made.state, mark, self._moves(made.state)))
        return True

    def waiting(self, revision: int) -> list[Item]:
        """What was answered at a revision and had no place in the furthest order."""
        put = self.stuck.mask if self.stuck else 0
        return [
            item
            for item in self._items
            if item.revision == revision
            and item.returned is not None
            and not put & item.bit
            and item.kind is not Kind.SEEN
        ]

    def _note(self, state: State) -> None:
        last = tuple(self.order[-8:])
        self.stuck = Stuck(len(self.order), state, last, tuple(self._enabled()), self._mask)

    def _settle(self, state: State) -> None:
        """Put all that changes nothing and fits here."""
        again = True
        while again:
            again = False
            for item in self._enabled():
                if item.kind is Kind.SEEN:
                    fits = state.revision >= item.revision
                else:
                    fits = item.kind is Kind.PURE and self._fits_here(item, state)
                if fits:
                    self._put(item, Step(state, COMPACTED))
                    again = True

    def _fits_here(self, item: Item, state: State) -> bool:
        if item.revision not in (0, state.revision):
            return False
        made = self._step(state, item)
        return not made.changes and made.state is state and made.response == item.response

    def _step(self, state: State, item: Item) -> Step:
        self.steps += 1
        try:
            return step(state, item.request, self._past.__getitem__)
        except LookupError:  # it reads what was before the history began: nothing is known of that
            assert item.response is not None
            return Step(state, item.response)

    def _moves(self, state: State) -> Iterator[tuple[Item, Step]]:
        """What may come next, and what it does; the likely first."""
        if self._done:
            return
        here = state.revision
        enabled = self._enabled()
        for item in enabled:
            if item.kind in (Kind.SIDE, Kind.MAYBE) and item.revision in (0, here):
                made = self._step(state, item)
                if not made.changes and made.response == item.response:
                    yield item, made
        if self._pending[here] <= 0:
            yield from self._next_revision(state, enabled)
        yield from self._proven(state, enabled)

    def _next_revision(self, state: State, enabled: list[Item]) -> Iterator[tuple[Item, Step]]:
        after = state.revision + 1
        owners = self._owners.get(after)
        if owners:  # nobody else can have made this revision
            candidates = [item for item in owners if item in enabled]
        else:
            candidates = [
                item
                for item in enabled
                if item.kind in (Kind.EFFECT, Kind.MAYBE) and item.revision in (0, after)
            ]
            candidates += self._unknown(after)
        for item in candidates:
            made = self._step(state, item)
            if not made.changes or not self._evidence.agrees(after, made.changes):
                continue
            if item.response is None or made.response == item.response:
                yield item, made

    def _unknown(self, revision: int) -> list[Item]:
        """What has an unknown result and may be done by now, for a revision without a known author."""
        limit = self._first_return()
        found = [
            item
            for item in self._optional
            if item.call < limit
            and not self._mask & item.bit
            and item.revision in (0, revision)
            and not (isinstance(item.request, Revoke) and self._lives_on(item.request, revision))
        ]
        return [item for item in found if item.revision] or found

    def _lives_on(self, request: Revoke, revision: int) -> bool:
        """Whether an answer at this revision or later proves that the lease is still there."""
        lease = request.lease
        return self._granted[lease] == 1 and self._evidence.alive.get(lease, 0) >= revision

    def _proven(self, state: State, enabled: list[Item]) -> Iterator[tuple[Item, Step]]:
        """Unknown grants, revocations and compactions that an answer speaks of."""
        limit = self._first_return()
        open_ = [i for i in self._optional if i.call < limit and not self._mask & i.bit]
        wanted, unwanted, compacted = _proofs(state, enabled + [i for i in open_ if i.revision])
        if not (wanted or unwanted or compacted):
            return
        for item in open_:
            if isinstance(item.request, Grant):
                speaks = item.request.lease in wanted
            elif isinstance(item.request, Revoke):
                speaks = item.request.lease in unwanted
            else:
                speaks = compacted and isinstance(item.request, Compact)
            if speaks:
                made = self._step(state, item)
                if not made.changes and made.state is not state:
                    yield item, made


def _proofs(state: State, items: list[Item]) -> tuple[set[int], set[int], bool]:
    """Leases that answers say exist, and that they say do not, against this state; and compaction."""
    wanted: set[int] = set()
    unwanted: set[int] = set()
    compacted = False
    for item in items:
        compacted = compacted or item.response == COMPACTED
        gone = item.response == LEASE_NOT_FOUND or isinstance(item.response, Granted)
        for lease in item.leases:
            if gone and lease in state.leases:
                unwanted.add(lease)
            elif not gone and lease not in state.leases:
                wanted.add(lease)
    return wanted, unwanted, compacted
