"""The lessor against a model that looks at every lease every time. The clock is part of the course."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.errors import LeaseExist, LeaseNotFound, NotPrimaryLessor
from triode.mvcc.lease import Lessor

TTL_MIN = 2
RETRY_SECONDS = 3.0
LONG = 77  # the ID of a lease that has checkpoints
ids = st.sampled_from([1, 2, 3, -1, -(1 << 63), (1 << 63) - 1])
keys = st.sampled_from([b"a", b"b", b"c", b"d"])
ttls = st.sampled_from([-1, 1, 3, 10, 400, 1000])


@attrs.define
class ModelLease:
    ttl: int
    over: float | None  # the earliest end, on the primary's clock
    checkpoint: int = 0
    proposed: bool = False  # a checkpoint, since the last clearing
    promised: float = 0.0  # until when, by the last renewal that was answered
    reported: float | None = None


class LessorMachine(RuleBasedStateMachine):
    granted = Bundle("granted")

    @initialize()
    def start(self) -> None:
        self.backend = Backend(MemoryEngine.open(None, EngineOptions()))
        self.lessor = Lessor(self.backend, ttl_seconds_min=TTL_MIN)
        self.model: dict[int, ModelLease] = {}
        self.keys: dict[bytes, int] = {}
        self.now = 0.0
        self.primary = False
        self.log: list[tuple[int, int]] = []  # checkpoints that are proposed, and not applied yet

    @rule(target=granted, lease_id=ids, ttl=ttls)
    def grant(self, lease_id: int, ttl: int) -> int:
        self.apply(len(self.log))
        if lease_id in self.model:
            _raises(LeaseExist, self.lessor.grant, lease_id, ttl, self.now)
        else:
            ttl = max(ttl, TTL_MIN)
            assert self.lessor.grant(lease_id, ttl, self.now) == ttl
            self.model[lease_id] = ModelLease(ttl, self.now + ttl if self.primary else None)
        return lease_id

    @rule(lease_id=consumes(granted))
    def revoke(self, lease_id: int) -> None:
        self.apply(len(self.log))
        if lease_id not in self.model:
            _raises(LeaseNotFound, self.lessor.revoke, lease_id)
            return
        expected = sorted(key for key, owner in self.keys.items() if owner == lease_id)
        assert self.lessor.revoke(lease_id) == expected
        del self.model[lease_id]
        for key in expected:
            del self.keys[key]

    @rule(lease_id=granted, key=keys)
    def attach(self, lease_id: int, key: bytes) -> None:
        """As a put does it: detach from the old lease, attach to the new one."""
        old = self.keys.get(key)
        if lease_id not in self.model:
            _raises(LeaseNotFound, self.lessor.attach, lease_id, key)
        elif old != lease_id:
            if old is not None:
                self.lessor.detach(old, key)
            self.lessor.attach(lease_id, key)
            self.keys[key] = lease_id

    @rule(key=keys)
    def detach(self, key: bytes) -> None:
        owner = self.keys.pop(key, None)
        if owner is not None:
            self.lessor.detach(owner, key)

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0, 9.5, 299.0, 301.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(lease_id=granted)
    def keep_alive(self, lease_id: int) -> None:
        """As the service does it: a checkpoint in force, or on its way, is cleared first."""
        if not self.primary:
            _raises(NotPrimaryLessor, self.lessor.keep_alive, lease_id, self.now)
            return
        lease = self.model.get(lease_id)
        while self.lessor.needs_clearing(lease_id):
            assert lease is not None
            mark = self.lessor.clearing(lease_id)
            self.log.append((lease_id, 0))
            self.apply(len(self.log))
            self.lessor.cleared(lease_id, mark)
            lease.proposed = False
        ttl = self.lessor.keep_alive(lease_id, self.now)
        if lease is None or lease.over is None or lease.over <= self.now:
            assert ttl == 0
        else:
            assert ttl == lease.ttl
            lease.over = max(lease.over, self.now + lease.ttl)
            lease.promised = self.now + lease.ttl

    @precondition(lambda self: self.primary)
    @rule(limit=st.integers(1, 4))
    def expire(self, limit: int) -> None:
        due = {
            lease_id
            for lease_id, lease in self.model.items()
            if lease.over is not None
            and lease.over <= self.now
            and (lease.reported is None or lease.reported + RETRY_SECONDS <= self.now)
        }
        reported = self.lessor.expired(self.now, limit)
        assert len(reported) == len(set(reported)) == min(limit, len(due))
        assert set(reported) <= due
        for lease_id in reported:
            self.model[lease_id].reported = self.now

    @precondition(lambda self: self.primary)
    @rule()
    def checkpoint(self) -> None:
        """They are proposed; see `apply` for when they come into force."""
        for lease_id, remaining in self.lessor.checkpoints(self.now):
            lease = self.model[lease_id]
            assert lease.over is not None
            assert 0 < remaining < lease.ttl
            assert 0 <= remaining - (lease.over - self.now) < 1, "rounded up: never shorter"
            self.log.append((lease_id, remaining))
            lease.proposed = True

    @precondition(lambda self: self.primary)
    @rule(renewed=st.booleans())
    def live_long(self, renewed: bool) -> None:
        """A long lease comes to its checkpoint, which chance alone hardly ever brings about; then it may be renewed."""
        if LONG not in self.model:
            self.grant(LONG, 1000)
        self.now += 301.0
        self.checkpoint()
        if renewed:
            self.keep_alive(LONG)

    @rule(count=st.integers(1, 3))
    def apply(self, count: int) -> None:
        """The next entries of the log take effect."""
        applied, self.log = self.log[:count], self.log[count:]
        for lease_id, remaining in applied:
            self.lessor.checkpoint(lease_id, remaining)
            if lease_id in self.model:
                self.model[lease_id].checkpoint = remaining

    @rule(extend=st.sampled_from([0.0, 1.5]), kept=st.integers(0, 5))
    def promote(self, extend: float, kept: int) -> None:
        """What the log had is applied before; its end may be lost with the leader before."""
        self.apply(kept)
        self.log = []
        self.lessor.promote(self.now, extend)
        self.primary = True
        for lease in self.model.values():
            lease.over = self.now + extend + (lease.checkpoint or lease.ttl)
            lease.reported = None
            lease.proposed = False
            assert lease.over >= lease.promised, "never shorter than a renewal has promised"

    @rule()
    def demote(self) -> None:
        self.lessor.demote()
        self.primary = False
        for lease in self.model.values():
            lease.over = None

    @rule()
    def restart(self) -> None:
        """Read back from the backend; the store attaches the keys."""
        self.apply(len(self.log))
        self.backend.commit()
        self.lessor = Lessor(self.backend, ttl_seconds_min=TTL_MIN)
        self.primary = False
        for lease in self.model.values():
            lease.over, lease.proposed = None, False
        for key, owner in self.keys.items():
            self.lessor.attach(owner, key)

    @invariant()
    def agree(self) -> None:
        lessor = self.lessor
        assert sorted(lessor.leases()) == sorted(self.model)
        assert lessor.attached == self.keys
        for lease_id, lease in self.model.items():
            assert lessor.granted_ttl(lease_id) == lease.ttl
            owned = sorted(key for key, owner in self.keys.items() if owner == lease_id)
            assert lessor.keys(lease_id) == owned
            on_its_way = any(one == lease_id and left for one, left in self.log)
            if lease.checkpoint or (on_its_way and self.primary):
                assert lessor.needs_clearing(lease_id)
            elif not lease.proposed:
                assert not lessor.needs_clearing(lease_id)
            if lease.over is not None:
                left = max(0, int(lease.over - self.now))
                assert lessor.time_to_live(lease_id, self.now) == left


def _raises(kind: type[Exception], call: Callable[..., Any], *arguments: Any) -> None:
    try:
        call(*arguments)
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


TestLessor = LessorMachine.TestCase
TestLessor.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
