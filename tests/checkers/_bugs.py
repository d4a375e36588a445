"""Deliberate bugs, one patch each, with the faults under which they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from triode.actors.applier import Applier, ServeReads
from triode.actors.raft_peer import RaftPeer
from triode.actors.wal_writer import Save, Saved, WalWriter
from triode.mvcc.events import History
from triode.mvcc.lease import Lessor
from triode.mvcc.store import Store
from triode.mvcc.watch import WatchHub
from triode.raft.quorum import joint, majority
from triode.raft.state import StateType
from triode.testing.conditions import Conditions
from triode.testing.plan import Plan, plan_of
from triode.testing.scenario import Result
from triode.testing.workload.simulated import simulate_checked

Patch = Callable[[pytest.MonkeyPatch], None]


@attrs.frozen
class Bug:
    """A bug, and within how many seeds it is to be found."""

    patch: Patch
    faults: tuple[str, ...]
    seeds_max: int
    promise: str = ""
    """What the checker that finds it says; empty if several may."""
    settings: dict[str, Any] = attrs.Factory(dict)

    def plan(self, seed: int) -> Plan:
        """Three members, equal clocks, and nothing but the faults that matter."""
        base = plan_of(seed, members=3)
        settings = {"snapshot_count": 1000, "snapshot_catchup_entries": 20, **self.settings}
        return attrs.evolve(
            base,
            seconds=8.0,
            faults=self.faults,
            fault_every=(0.3, 1.5),
            clock_rates=(1.0, 1.0, 1.0),
            conditions=Conditions(delay_min=0.0005, delay_max=0.01),
            settings={**base.settings, **settings},
        )

    def seeds_until_found(self) -> tuple[int, Result]:
        """How many seeds it takes, and the run that found it."""
        for seed in range(self.seeds_max):
            result = simulate_checked(self.plan(seed))
            if result.violations:
                return seed + 1, result
        raise AssertionError(f"not found within {self.seeds_max} seeds")


# --- raft -------------------------------------------------------------------------------------------


def commit_alone(patch: pytest.MonkeyPatch) -> None:
    """What one member has is taken for committed: proposals are answered before their commit."""

    def highest(voters: Any, acked: Callable[[int], int]) -> int:
        return max(map(acked, voters)) if voters else majority.INDEX_MAX

    patch.setattr(joint, "committed_index", highest)


def read_without_quorum(patch: pytest.MonkeyPatch) -> None:
    """A leader answers reads without asking whether it still is one."""
    read = RaftPeer._read

    def at_once(self: RaftPeer, reads: Any) -> None:
        if self._node.raft.state is StateType.LEADER:
            self.apply(ServeReads(self.commit_index, [one.then for one in reads]))
        else:
            read(self, reads)

    patch.setattr(RaftPeer, "_read", at_once)


def read_locally(patch: pytest.MonkeyPatch) -> None:
    """Every member answers reads from what it has."""

    def at_once(self: RaftPeer, reads: Any) -> None:
        self.apply(ServeReads(0, [one.then for one in reads]))

    patch.setattr(RaftPeer, "_read", at_once)


# --- durability ---------------------------------------------------------------------------------------


def skip_fsync(patch: pytest.MonkeyPatch) -> None:
    """The log is written and never synced."""

    patch.setattr(WalWriter, "_timed_sync", lambda _self: 0.0)


def answer_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """A save is called durable when it is about to be made so."""

    handle, tell = WalWriter.handle, WalWriter._tell
    told: set[int] = set()

    def once(self: WalWriter, result: Any) -> None:
        save = getattr(result, "save", None)
        if save is not None and id(save) in told:
            told.discard(id(save))
            return
        told.add(id(save))
        tell(self, result)

    async def hasty(self: WalWriter, batch: Any) -> None:
        for message in batch:
            if type(message) is Save and message.awaited:
                self._tell(Saved(message))
        await handle(self, batch)

    def by_mail(self: WalWriter, save: Save) -> bool:
        self.ref.tell(save)
        return False

    patch.setattr(WalWriter, "save", by_mail)
    patch.setattr(WalWriter, "handle", hasty)
    patch.setattr(WalWriter, "_tell", once)


def forget_consistent_index(patch: pytest.MonkeyPatch) -> None:
    """The backend's transaction has the data, but not the index that they belong to."""

    def stale(self: Store) -> None:
        behind = max(0, self.consistent_index - 3)
        self.backend.put("meta", b"consistent_index", behind.to_bytes(8, "big"))

    patch.setattr(Store, "_put_consistent_index", stale)


# --- the state machine --------------------------------------------------------------------------------


def apply_twice(patch: pytest.MonkeyPatch) -> None:
    """Now and then an entry is executed twice, on every member."""
    execute = Applier._execute

    def twice(self: Applier, data: bytes, call: Any) -> None:
        execute(self, data, call)
        if self._store.consistent_index % 20 == 0:
            execute(self, data, None)

    patch.setattr(Applier, "_execute", twice)


def apply_twice_somewhere(patch: pytest.MonkeyPatch) -> None:
    """One member executes an entry twice: it diverges."""
    execute = Applier._execute

    def twice(self: Applier, data: bytes, call: Any) -> None:
        execute(self, data, call)
        if call is not None and self._store.consistent_index % 20 == 0:
            execute(self, data, None)

    patch.setattr(Applier, "_execute", twice)


def leave_one_out(patch: pytest.MonkeyPatch) -> None:
    """Members that nobody waits on skip an entry now and then."""
    execute = Applier._execute

    def skipping(self: Applier, data: bytes, call: Any) -> None:
        waits = call is not None or bool(self._pending.by_id)
        if waits or self._store.consistent_index % 31:
            execute(self, data, call)

    patch.setattr(Applier, "_execute", skipping)


# --- leases and watches -------------------------------------------------------------------------------


def end_leases_early(patch: pytest.MonkeyPatch) -> None:
    """The leader's reaper looks a second ahead."""
    expired = Lessor.expired
    patch.setattr(Lessor, "expired", lambda self, now, *rest: expired(self, now + 1.0, *rest))


def lose_renewals(patch: pytest.MonkeyPatch) -> None:
    """A keep-alive is acknowledged, and has no effect."""

    def keep_alive(self: Lessor, lease_id: int, now: float) -> int:
        lease = self._of_primary(lease_id)
        return 0 if lease is None or lease.expiry <= now else lease.ttl

    patch.setattr(Lessor, "keep_alive", keep_alive)


def shorten_at_promotion(patch: pytest.MonkeyPatch) -> None:
    """A new leader gives leases less than a whole term."""
    promote = Lessor.promote
    patch.setattr(
        Lessor,
        "promote",
        lambda self, now, extend_seconds: promote(self, now - 1.5, extend_seconds),
    )


def keep_leases_for_ever(patch: pytest.MonkeyPatch) -> None:
    """The reaper finds nothing."""
    patch.setattr(Lessor, "expired", lambda *_: [])


def lose_an_event(patch: pytest.MonkeyPatch) -> None:
    """Catching up leaves out the first event that it reads."""
    history = Store.history

    def shorter(self: Store, start_revision: int, revisions_max: int) -> History:
        part = history(self, start_revision, revisions_max)
        return part._replace(events=part.events[1:])

    patch.setattr(Store, "history", shorter)


def notify_too_much(patch: pytest.MonkeyPatch) -> None:
    """A watch is told the store's revision as its progress before it was told the events."""
    notify = WatchHub.notify

    def early(self: WatchHub, revision: int, events: Any) -> None:
        self.revision = revision
        for stream in list(self._streams):
            stream.request_progress()
        notify(self, revision, events)

    patch.setattr(WatchHub, "notify", early)


def forget_watches(patch: pytest.MonkeyPatch) -> None:
    """After a snapshot was installed watches go on as if nothing had been missed."""

    def restore(self: WatchHub, past: Any) -> None:
        self._past = past
        self.revision = past.revision

    patch.setattr(WatchHub, "restore", restore)


def forget_leases(patch: pytest.MonkeyPatch) -> None:
    """A snapshot is installed without its leases."""
    restore = Lessor.restore

    def partial(self: Lessor, backend: Any) -> None:
        known = getattr(self, "_leases", None)
        restore(self, backend)
        if known is not None:
            self._leases = known

    patch.setattr(Lessor, "restore", partial)


DOWN = ("crash", "kill", "power_cut")
LAG = ("partition", "isolate_leader")
SNAPSHOTS = {"snapshot_count": 5, "snapshot_catchup_entries": 1}

BUGS: dict[str, Bug] = {
    "commit_alone": Bug(commit_alone, LAG, 10),
    "read_without_quorum": Bug(
        read_without_quorum, ("isolate_leader", "pause"), 20, "linearizable"
    ),
    "read_locally": Bug(read_locally, (), 3, "linearizable"),
    "skip_fsync": Bug(skip_fsync, DOWN, 10),
    "answer_before_fsync": Bug(answer_before_fsync, DOWN, 30),
    "forget_consistent_index": Bug(forget_consistent_index, DOWN, 10),
    "apply_twice": Bug(apply_twice, (), 3, "linearizable"),
    "apply_twice_somewhere": Bug(apply_twice_somewhere, (), 3, "equal members"),
    "leave_one_out": Bug(leave_one_out, (), 5, "equal"),
    "end_leases_early": Bug(end_leases_early, (), 5, "lease: never early"),
    "lose_renewals": Bug(lose_renewals, (), 5, "lease: never early"),
    "shorten_at_promotion": Bug(
        shorten_at_promotion, ("kill", "move_leader"), 10, "lease: never early"
    ),
    "keep_leases_for_ever": Bug(keep_leases_for_ever, (), 3, "bounded lateness"),
    "lose_an_event": Bug(lose_an_event, (), 3),
    "notify_too_much": Bug(notify_too_much, (), 5, "watch"),
    "forget_watches": Bug(forget_watches, LAG, 20, "watch: reliable", SNAPSHOTS),
    "forget_leases": Bug(forget_leases, LAG, 20, "", SNAPSHOTS),
}
