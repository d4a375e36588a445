"""What the services and the actors of one node share: the parts, by name. No logic but glue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from ..backends.buffer import Backend
from ..config import Config
from ..errors import DiskFull, EtcdError, StorageError
from ..mvcc.alarm import NOSPACE, Alarm, Alarms
from ..mvcc.lease import Lessor
from ..mvcc.store import Store
from ..mvcc.watch import WatchHub
from .answers import Header
from .failures import refusal_of
from .leading import Leading
from .membership import Membership
from .proposer import Proposer
from .world import World

if TYPE_CHECKING:
    from ..raft.types import ConfChange
    from .call import Call
    from .peers.contract import Peers
    from .quota import QuotaGuard

__all__ = ["NodeContext", "RaftView"]


class RaftView(Protocol):
    """What of the raft peer others may look at."""

    leader: int
    term: int
    commit_index: int
    last_index: int
    disk_full: DiskFull | None

    @property
    def is_leader(self) -> bool: ...

    def match_index(self, member: int) -> int | None:
        """The last log index that `member` is known to have; None if it has none, or this one does not lead."""
        ...

    async def wait_leader_change(self) -> None:
        """Return when this member knows of another leader, or of none any more."""
        ...


@attrs.define
class Promotions:
    """Promotions of learners that this member has decided, as the leader."""

    succeeded: int = 0
    failed: Counter[str] = attrs.field(factory=Counter)

    def failures(self) -> dict[tuple[str, ...], int]:
        """How often by reason, as a label."""
        return {(reason,): number for reason, number in self.failed.items()}


@attrs.define(slots=False, eq=False)
class NodeContext:
    """The parts of one node. Filled by `assembly`; read by everybody."""

    config: Config
    world: World
    data_dir: Path | None
    backend: Backend
    store: Store
    lessor: Lessor
    alarms: Alarms
    membership: Membership
    header: Header
    hub: WatchHub
    proposer: Proposer
    quota: QuotaGuard
    raft: RaftView
    leading: Leading
    applied_index: Callable[[], int]
    read_index: Callable[[Call, Callable[[], None]], None]
    run_applied: Callable[[Callable[[], None]], None]
    after_sweep: Callable[[Callable[[], None]], None]
    spawn: Callable[[Callable[[], Awaitable[Any]]], None]
    flush: Callable[[], None]
    member_id: int = 0
    peers: Peers = attrs.field(default=None)  # set as soon as there are links
    propose_change: Callable[[ConfChange, Call], None] = attrs.field(default=None)
    """Propose a membership change, to which it gives an ID; the call is answered with nothing when it is applied."""
    when_applied: Callable[[int, Callable[[], None]], None] = attrs.field(default=None)
    """Call something as soon as the entry at an index is applied."""
    hand_over: Callable[[int], Awaitable[None]] = attrs.field(default=None)
    """Make another voter the leader and return when it leads; raises TimeoutLeaderTransfer."""
    promotions: Promotions = attrs.field(init=False, factory=Promotions)

    @property
    def reads_locally(self) -> bool:
        """Whether a read of the applied state is linearizable without asking anybody.

        All reads that go past raft's ReadIndex do so by this property, and here is why they may:

        * The member is the only one of the cluster, so nobody else acknowledges anything. A leader that has been
          removed may see a single member, too, but that is another one.
        * It is active as the leader: an entry of its own term is applied. Until then it may lack what a leader
          before it has acknowledged: a removed one, or itself in an earlier life.

        Its own writes are applied before they are acknowledged, so the applied state has them all. (The one further
        path is raft_peer's, for a log that takes nothing more; it has the same two conditions.)
        """
        members = self.membership.members
        return self.leading.active and len(members) == 1 and self.member_id in members

    def alarms_here(self) -> list[Alarm]:
        """The cluster's alarms, and NOSPACE of this member if its disk is full.

        The latter is not raised by way of the log: there NOSPACE makes every member refuse writes, and others may have
        space. Who asks this member is told all the same.
        """
        alarms = self.alarms.get()
        own = Alarm(self.member_id, NOSPACE)
        if self.raft.disk_full is not None and own not in alarms:
            alarms.append(own)
        return alarms

    def refusal_of(self, error: Exception, path: str = "") -> EtcdError:
        """What a client is told about an exception (see `failures`).

        One of the storage ends the node too: what else this member would answer may be as wrong.
        """
        if isinstance(error, StorageError) and not isinstance(error, DiskFull):
            storage_error = error

            def fail() -> None:
                raise storage_error

            with suppress(EtcdError):
                self.run_applied(fail)
        return refusal_of(error, path)

    def complete(self, call: Call, work: Callable[[], Awaitable[bytes]]) -> None:
        """Run `work` in a task of the node and answer `call` with what comes of it."""

        async def run() -> None:
            try:
                message = await work()
            except Exception as error:  # noqa: BLE001  # one call fails, not the node
                call.refuse(self.refusal_of(error))
            else:
                call.answer(message)
            self.flush()

        self.spawn(run)
