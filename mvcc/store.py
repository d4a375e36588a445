"""The multi-version store: revisions, reads and writes over a backend.

Every write makes a new revision and nothing is overwritten: the bucket `key` maps (main, sub) to a
KeyValue, the index maps a key to its revisions. A read at revision r finds each key's newest change
with main <= r. Writes happen one request at a time and are visible to the requests after them; a
request that fails has changed nothing. All of it is synchronous and deterministic: members that
apply the same requests in the same order hold the same bytes.

Values are read from the cache on the index, or else from the backend. Answers are framed KeyValues
(see `keyvalue`), shared with the cache and the events.

What the applier owes the store: it sets `consistent_index` (and `term`) to those of the entry that it
applies *before* it applies it, so that whichever commit takes the entry's writes takes the index too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..backends.buffer import Backend
from ..errors import (
    Compacted,
    CorruptData,
    FutureRev,
    InvariantBroken,
    KeyNotFound,
    LeaseNotFound,
)
from .cache import CACHE_BYTES, CACHE_FILL_KEYS_MAX, ValueCache
from .compaction import COMPACTION_KEYS_MAX, HASHES_KEPT_MAX, Compactor
from .counts import Counts
from .events import DELETE, PUT, Event, History
from .hashes import HashKV, KeyHash, hash_all, kept_below
from .history import read_history
from .index import KeyIndex
from .keyvalue import deleted, encode, frame, lease_of, tombstone, value_of
from .ranges import Found, RangeResult, open_end, run_range
from .requests import DeleteRangeRequest, LeaseHooks, NoLeases, PutRequest, RangeRequest, TxnRequest
from .restore import Restored, read_state
from .revision import MAIN_SHIFT, SUB_MAX, TOMBSTONE, disk_key
from .txn import TxnResult, run_txn

__all__ = ["DeleteResult", "PutResult", "Store"]

CONSISTENT_INDEX = b"consistent_index"
TERM = b"term"


class PutResult(NamedTuple):
    """The answer to a put: the revision that it made, and the framed previous KeyValue if asked for."""

    revision: int
    prev_kv: bytes | None


class DeleteResult(NamedTuple):
    """The answer to a delete: the store's revision, how many keys went, and them if asked for."""

    revision: int
    deleted: int
    prev_kvs: list[bytes]


class Store:
    """A store over `backend`; restores the index from it and resumes an unfinished compaction.

    Attributes:
        revision: the revision of the last completed write.
        compact_revision: reads below it are refused; -1 before the first compaction.
        latest: what reads see as the present: `revision`, or in the middle of a txn that has already
            written, the revision that it is making.
        consistent_index, term: position in the raft log of the last applied entry; see the module.
        index, leases, cache, backend: the parts, for the modules of this package.
        counts: what was done so far, for metrics.

    Args:
        backend: the write buffer over an engine.
        lease_hooks: the lessor, restored from the same backend.
        cache_bytes: the budget of the value cache.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        lease_hooks: LeaseHooks | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.leases: LeaseHooks = NoLeases() if lease_hooks is None else lease_hooks
        self._cache_bytes = cache_bytes
        self.counts = Counts()
        self._open(backend)

    def restore(
        self,
        backend: Backend,
        *,
        lease_hooks: LeaseHooks | None = None,
        state: Restored | None = None,
    ) -> None:
        """Start over from another backend, as after a snapshot from the leader was installed.

        With `state`, its content has been read already (see `restore.read_state`).
        """
        self.backend.before_commit.remove(self._put_consistent_index)
        if lease_hooks is not None:
            self.leases = lease_hooks
        self._open(backend, state)

    def _open(self, backend: Backend, state: Restored | None = None) -> None:
        for bucket in ("key", "meta"):
            backend.create_bucket(bucket)
        restored = state or read_state(backend)
        restored.attach(self.leases)
        self.backend = backend
        self._backend_put = backend.put
        self.index = restored.index
        self.cache = ValueCache(self._cache_bytes)
        self.revision = self.latest = restored.revision
        self.compact_revision = restored.finished_compact
        self._changes = 0
        self._events: list[tuple[int, bytes, int, bytes, bool, bytes | None]] = []
        self._hashes: list[HashKV] = []
        self._compactor = Compactor(self)
        if restored.scheduled_compact > restored.finished_compact:
            self._compactor.schedule(restored.scheduled_compact)
        self.consistent_index = self._saved_index = self._meta_number(CONSISTENT_INDEX)
        self.term = self._meta_number(TERM)
        backend.before_commit.append(self._put_consistent_index)

    # --- the position in the log ------------------------------------------------------------------

    def _meta_number(self, name: bytes) -> int:
        value = self.backend.get("meta", name)
        return 0 if value is None else int.from_bytes(value, "big")

    def _put_consistent_index(self) -> None:
        if self.consistent_index == self._saved_index:
            return
        self.backend.put("meta", CONSISTENT_INDEX, self.consistent_index.to_bytes(8, "big"))
        if self.term:
            self.backend.put("meta", TERM, self.term.to_bytes(8, "big"))
        self._saved_index = self.consistent_index

    # --- reading ----------------------------------------------------------------------------------

    def range(self, request: RangeRequest) -> RangeResult:
        """Read [key, range_end) at a revision. Raises FutureRev, Compacted."""
        return run_range(self, request)

    def load(self, entry: KeyIndex, packed: int) -> bytes:
        """The framed KeyValue of a key at one of its revisions, cached when it is the newest."""
        newest = packed == entry.modified
        if newest and entry.framed is not None:
            return entry.framed
        framed = frame(self._stored(packed, self.backend.get("key", disk_key(packed))))
        if newest:
            self.cache.set(entry, framed)
        return framed

    def load_many(self, found: Sequence[Found]) -> list[bytes]:
        """The framed KeyValues of found keys, in their order, with one read of what is not cached."""
        kvs = [
            entry.framed if packed == entry.modified else None  # None: not newest, or not cached
            for entry, packed in found
        ]
        if None not in kvs:
            return kvs  # type: ignore[return-value]  # the line above is the proof
        missing = [at for at, framed in enumerate(kvs) if framed is None]
        stored = self.backend.get_many("key", [disk_key(found[at][1]) for at in missing])
        fill = len(missing) <= CACHE_FILL_KEYS_MAX
        for at, kv in zip(missing, stored, strict=True):
            entry, packed = found[at]
            kvs[at] = framed = frame(self._stored(packed, kv))
            if fill and packed == entry.modified:
                self.cache.set(entry, framed)
        return kvs  # type: ignore[return-value]  # every None was replaced

    def _stored(self, packed: int, kv: bytes | None) -> bytes:
        if kv is None:
            raise CorruptData(f"bucket key: revision {packed >> MAIN_SHIFT} is indexed, not stored")
        return kv

    # --- writing ----------------------------------------------------------------------------------

    def put(self, request: PutRequest) -> PutResult:
        """Write a key.

        Raises LeaseNotFound, also for the lease that ignore_lease would keep if there is no such lease any more;
        KeyNotFound (ignore_value or ignore_lease without key).
        """
        lease = request.lease
        if lease and not self.leases.exists(lease):
            raise LeaseNotFound
        result = self.apply_put(request)
        self._complete()
        return result

    def delete_range(self, request: DeleteRangeRequest) -> DeleteResult:
        """Delete the keys of [key, range_end); nothing to delete makes no revision."""
        result = self.apply_delete(request)
        self._complete()
        return result

    def txn(self, request: TxnRequest, *, answered: bool = True) -> TxnResult:
        """Run a txn, see `txn`. Raises Compacted, FutureRev, LeaseNotFound, KeyNotFound."""
        result = run_txn(self, request, answered)
        self._complete()
        return result

    def delete_lease_keys(self, keys: Iterable[bytes]) -> int:
        """Delete keys in key order in one revision, for a lease that ends; returns the revision."""
        for key in sorted(keys):
            entry = self.index.keys.get(key)
            if entry is not None and entry.version:
                self._write_tombstone(entry)
        self._complete()
        return self.revision

    def _complete(self) -> None:
        """End a write: its changes, if any, become a revision."""
        if self._changes > SUB_MAX:
            raise InvariantBroken(f"{self._changes} changes do not fit into one revision")
        self.revision = self.latest
        self._changes = 0

    def apply_put(self, request: PutRequest) -> PutResult:
        """The put itself, within a revision that the caller completes."""
        key = request.key
        value = request.value
        lease = request.lease
        counts = self.counts
        prev = None
        if request.prev_kv or request.ignore_value or request.ignore_lease:
            counts.ranges += 1
            prev = self._present(key)
            if request.ignore_value:
                if prev is None:
                    raise KeyNotFound
                value = value_of(prev)
            if request.ignore_lease:
                if prev is None:
                    raise KeyNotFound
                lease = lease_of(prev)
                if lease and not self.leases.exists(lease):
                    raise LeaseNotFound
            if not request.prev_kv:
                prev = None
        self._write_put(key, value, lease)
        counts.puts += 1
        counts.put_bytes += len(key) + len(value)
        return PutResult(self.latest, prev)

    def apply_delete(self, request: DeleteRangeRequest) -> DeleteResult:
        """The delete itself, within a revision that the caller completes."""
        range_end = request.range_end
        if range_end:
            visited = self.index.visit(request.key, open_end(range_end))
            entries = [entry for entry in visited if entry.version]
        else:
            one = self.index.keys.get(request.key)
            entries = [one] if one is not None and one.version else []
        self.counts.deletes += 1
        prev_kvs = []
        if request.prev_kv:
            self.counts.ranges += 1
            prev_kvs = self.load_many([(entry, entry.modified) for entry in entries])
        for entry in entries:
            self._write_tombstone(entry)
        return DeleteResult(self.latest, len(entries), prev_kvs)

    def _present(self, key: bytes) -> bytes | None:
        entry = self.index.keys.get(key)
        if entry is None or not entry.version:
            return None
        return self.load(entry, entry.modified)

    def _write_put(self, key: bytes, value: bytes, lease: int) -> None:
        main = self.revision + 1
        packed = main << MAIN_SHIFT | self._changes << 1
        index = self.index
        entry = index.keys.get(key)
        prev = None
        if entry is None:
            entry = KeyIndex(key, packed, main, 1)
            index.add(entry)
        elif entry.version:
            prev = self._replaced(entry, main) if self._changes else entry.framed
            entry.put(packed, entry.created, entry.version + 1)
        else:
            index.dead.discard(key)
            entry.put(packed, main, 1)
        kv = encode(key, entry.created, main, entry.version, value, lease)
        self._backend_put("key", disk_key(packed), kv)
        framed = frame(kv)
        self._events.append((PUT, key, main, framed, entry.version == 1, prev))
        self.cache.set(entry, framed)
        self.latest = main
        self._changes += 1
        old_lease = self.leases.attached.get(key, 0)
        if old_lease != lease:
            if old_lease:
                self.leases.detach(old_lease, key)
            if lease:
                self.leases.attach(lease, key)

    def _write_tombstone(self, entry: KeyIndex) -> None:
        key = entry.key
        main = self.revision + 1
        packed = main << MAIN_SHIFT | self._changes << 1 | TOMBSTONE
        prev = self._replaced(entry, main)
        self._events.append((DELETE, key, main, deleted(key, main), False, prev))
        self.cache.clear(entry)
        entry.put(packed, 0, 0)
        self.index.dead.add(key)
        self._backend_put("key", disk_key(packed), tombstone(key))
        self.latest = main
        self._changes += 1
        lease = self.leases.attached.get(key, 0)
        if lease:
            self.leases.detach(lease, key)

    def _replaced(self, entry: KeyIndex, main: int) -> bytes | None:
        """What an event of revision `main` replaces, if it is cached; not a change of `main` itself."""
        return None if entry.modified >> MAIN_SHIFT == main else entry.framed

    # --- events and history -----------------------------------------------------------------------

    def take_events(self) -> list[Event]:
        """The events of the completed writes since the last call, in order."""
        taken, self._events = self._events, []
        return [Event(*fields) for fields in taken]

    def drop_events(self) -> None:
        """Forget them: quicker than taking them when nobody watches."""
        if self._events:
            self._events = []

    def prev_kv(self, event: Event) -> bytes | None:
        """The framed KeyValue that `event` replaced; None for a creation or when it is compacted."""
        if event.prev is not None:
            return event.prev
        revision = event.mod_revision - 1
        if event.created or revision < self.compact_revision:
            return None
        entry = self.index.keys.get(event.key)
        packed = 0 if entry is None else entry.at(revision)
        return self.load(entry, packed) if entry is not None and packed else None

    def history(self, start_revision: int, revisions_max: int) -> History:
        """Events from `start_revision` on, at most `revisions_max` revisions. Raises Compacted."""
        return read_history(self, start_revision, revisions_max)

    # --- compaction and hashes --------------------------------------------------------------------

    def compact(self, revision: int) -> None:
        """Refuse reads below `revision` from now on. Raises Compacted, FutureRev.

        The rows go in `compaction_slice`; the compaction is remembered across a restart.
        """
        self._compactor.schedule(revision)

    @property
    def compaction_pending(self) -> bool:
        """Whether rows are left to sweep."""
        return self._compactor.sweeping > 0

    @property
    def sweeping(self) -> int:
        """The revision of the compaction whose rows are being swept, 0 for none."""
        return self._compactor.sweeping

    def compaction_slice(self, keys_max: int = COMPACTION_KEYS_MAX) -> bool:
        """Sweep up to `keys_max` rows; True when no compaction is left to sweep."""
        return self._compactor.slice(keys_max)

    def keep_hash(self, found: HashKV) -> None:
        """Keep the hash of a finished compaction (the newest ten are kept)."""
        self._hashes = sorted((*self._hashes, found), key=lambda h: h.hash_revision)
        del self._hashes[:-HASHES_KEPT_MAX]

    @property
    def compaction_hashes(self) -> tuple[HashKV, ...]:
        """The hashes of the last finished compactions, oldest first."""
        return tuple(self._hashes)

    def hash_kv(self, revision: int = 0) -> HashKV:
        """HashKV at `revision`, 0 for the present, in one go. Raises Compacted, FutureRev."""
        found = self.hash_kv_job(revision)
        return found if isinstance(found, HashKV) else found.run()

    def hash_kv_job(self, revision: int = 0) -> HashKV | KeyHash:
        """The same as a job that can be run in slices or on another thread; commits the backend.

        A hash that a compaction left is returned at once.
        """
        for known in self._hashes:
            if 0 < known.hash_revision == revision:
                return known
        if 0 < revision < self.compact_revision:
            raise Compacted
        if revision > self.revision:
            raise FutureRev
        revision = revision or self.revision
        kept = kept_below(self.index, self.compact_revision, revision)
        return KeyHash(self.backend.snapshot(), revision, self.compact_revision, kept)

    def hash(self) -> int:
        """Hash over the whole backend; commits it. For tests and diagnosis."""
        with self.backend.snapshot() as view:
            return hash_all(view)
