"""The compactor: sweeps out what compactions have hidden, in slices, and proposes compactions by itself."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..errors import Compacted, EtcdError
from ..mvcc.autocompact import AutoCompactor
from ..mvcc.store import Store
from ..rpc.pb.rpc_pb2 import CompactionRequest
from . import proposals
from .actor import Actor, Restart
from .errors import MailboxClosed, MailboxFull
from .leading import Leading
from .log import Log, duration
from .proposer import Proposer
from .world import Clock

__all__ = ["Compactor"]

AUTO_TICK_SECONDS = 1.0
log = Log("triode.compactor")


class Sweep:
    """A compaction was applied, or somebody waits for one."""


class Compactor(Actor[Sweep]):
    """Owns the physical half of compaction."""

    restart = Restart.PERMANENT
    mailbox_messages_max = 16

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        leading: Leading,
        clock: Clock,
        *,
        auto: AutoCompactor | None,
        slice_keys_max: int,
        pause_seconds: float,
        commit: Callable[[], None],
        flush: Callable[[], None],
    ) -> None:
        super().__init__(name="compactor")
        self._store = store
        self._proposer = proposer
        self._leading = leading
        self._clock = clock
        self._auto = auto
        self._slice_keys_max = slice_keys_max
        self._pause_seconds = pause_seconds
        self._commit = commit
        self._flush = flush
        self._waiting: list[Callable[[], None]] = []
        self.on_slice: Callable[[float], None] = lambda _seconds: None
        self.on_swept: Callable[[float], None] = lambda _seconds: None

    def wake(self) -> None:
        """There may be something to sweep."""
        try:
            self.ref.tell(Sweep())
        except (
            MailboxFull,
            MailboxClosed,
        ):  # when the node stops, the applier goes on for a moment
            return

    def after_sweep(self, then: Callable[[], None]) -> None:
        """Call `then` when every compaction so far is swept and committed."""
        self._waiting.append(then)
        self.wake()

    async def started(self) -> None:
        if self._auto is not None:
            self.nursery.start_soon(self._propose_by_itself, self._auto)
        self.wake()

    async def handle(self, batch: list[Sweep]) -> None:
        del batch
        while revision := self._store.sweeping:
            if self._store.backend.away:
                return  # a snapshot of the leader's brings what is to be swept, and wakes this up
            await self._sweep(revision)
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._commit()
            for then in waiting:
                then()
            self._flush()

    async def _sweep(self, revision: int) -> None:
        """Sweep one compaction, a slice at a time, so that nobody else waits for long."""
        store, now = self._store, self._clock.now
        began, compacted = now(), store.counts.compacted
        while store.sweeping == revision:
            if store.backend.away:
                return
            started = now()
            store.compaction_slice(self._slice_keys_max)
            self.on_slice(now() - started)
            if store.sweeping:
                await trio.sleep(self._pause_seconds)
        took = now() - began
        self.on_swept(took)
        log.info(
            "finished scheduled compaction",
            compact_revision=revision,
            took=duration(took),
            number_of_keys_compacted=store.counts.compacted - compacted,
            current_db_size_bytes=store.backend.size(),
            current_db_size_in_use_bytes=store.backend.size_in_use(),
        )

    async def _propose_by_itself(self, auto: AutoCompactor) -> None:
        while True:
            auto.paused = not self._leading.active
            revision = auto.tick(self._clock.now(), self._store.revision)
            if revision is not None:
                await self._compact(auto, revision)
            await trio.sleep(AUTO_TICK_SECONDS)

    async def _compact(self, auto: AutoCompactor, revision: int) -> None:
        try:
            await self._proposer.ask(proposals.COMPACTION, CompactionRequest(revision=revision))
        except Compacted:
            pass
        except EtcdError as error:
            log.warning("failed auto compaction", revision=revision, error=error.message)
            return
        auto.done(revision, self._clock.now())
        log.info("completed auto compaction", revision=revision)
