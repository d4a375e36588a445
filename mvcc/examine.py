"""Whether the rows of a store can have come to be: the invariants of the buckets `key` and `lease`.

What can be told from the rows alone, as far as a compaction at C has left them:

* revisions ascend; above C none is left out, and the changes of each are numbered 0, 1, 2, …;
* a put says the revision that it stands under; the first put of a life has version 1 and its own revision as the
  create_revision, and each further one the same create_revision and the next version;
* a life whose beginning is above C has its beginning; a deletion above C deletes something that is there;
* the lease of a key as it is now exists.

A row without content is what `snapshot restore --bump-revision` writes. Rows that a finished compaction should
have removed do no harm (they are invisible, and HashKV leaves them out), so they are notes only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..backends.contract import View
from ..errors import CorruptData
from . import lease_record
from .keyvalue import KeyValue, decode_bytes, split_key
from .restore import FINISHED_COMPACT, SCHEDULED_COMPACT
from .revision import FIRST_REVISION, MAIN_SHIFT, NEVER_COMPACTED, TOMBSTONE, packed_from_disk

__all__ = ["Problem", "examine"]

PROBLEMS_MAX = 100
"""Of one bucket; after so many nothing more is looked for."""
ROWS_PER_CALL = 1000


class Problem(NamedTuple):
    """Something that cannot be, or (a `note`) something that is worth to be known."""

    where: str
    what: str
    note: bool = False


class _Life(NamedTuple):
    """What is known of a key: its last row, and the life it is in (version 0: it is deleted)."""

    packed: int
    created: int
    version: int
    lease: int


def examine(view: View, on_rows: Callable[[int], None] = lambda _count: None) -> list[Problem]:
    """Look at every row of the store; returns what was found, `PROBLEMS_MAX` per bucket at most.

    `on_rows` is called now and then with how many rows have been read since the last time.
    """
    problems: list[Problem] = []
    finished, scheduled = (_mark(view, n, problems) for n in (FINISHED_COMPACT, SCHEDULED_COMPACT))
    if finished > scheduled:
        text = f"compaction finished at {finished}, but was scheduled up to {scheduled} only"
        problems.append(Problem("bucket meta", text))
    elif finished < scheduled:
        text = f"the compaction at {scheduled} is not finished; it goes on when the member starts"
        problems.append(Problem("bucket meta", text, note=True))
    keys = _Keys(max(finished, scheduled), swept=finished == scheduled)
    problems += _first(keys.problems(view, on_rows))
    problems += _first(_leases(view, keys))
    return problems


def _first(found: Iterator[Problem]) -> list[Problem]:
    kept: list[Problem] = []
    for problem in found:
        if len(kept) == PROBLEMS_MAX:
            kept.append(Problem(problem.where, f"nothing was looked for after {PROBLEMS_MAX}"))
            break
        kept.append(problem)
    return kept


def _mark(view: View, name: bytes, problems: list[Problem]) -> int:
    mark = view.get("meta", name)
    if mark is None:
        return NEVER_COMPACTED
    try:
        return packed_from_disk(mark) >> MAIN_SHIFT
    except CorruptData:
        problems.append(Problem("bucket meta", f"{name.decode()} is no revision: {mark.hex()}"))
        return NEVER_COMPACTED


class _Keys:
    """The walk over the bucket `key`; `compact` is what the store will have been compacted to."""

    def __init__(self, compact: int, *, swept: bool) -> None:
        self.lives: dict[bytes, _Life] = {}
        self._compact = compact
        self._swept = swept
        self._last = max(compact, FIRST_REVISION) << MAIN_SHIFT
        self._unswept = 0

    def problems(self, view: View, on_rows: Callable[[int], None]) -> Iterator[Problem]:
        """Read all rows."""
        for rows, (disk, value) in enumerate(view.scan("key"), 1):
            if not rows % ROWS_PER_CALL:
                on_rows(ROWS_PER_CALL)
            try:
                packed = packed_from_disk(disk)
                where = f"revision {_shown(packed)}"
                for what in (*self._order(packed), *self._row(packed, value)):
                    yield Problem(where, what)
            except CorruptData as error:
                yield Problem("bucket key", str(error))
        if self._unswept:
            what = f"{self._unswept} rows are left that the compaction at {self._compact} should have removed"
            yield Problem("bucket key", what, note=True)

    def _order(self, packed: int) -> Iterator[str]:
        """Whether this row may follow the last one."""
        main, sub = packed >> MAIN_SHIFT, _sub(packed)
        if main <= self._compact:
            return
        last, self._last = self._last, packed
        before = last >> MAIN_SHIFT
        if main == before:
            if sub != _sub(last) + 1:
                yield f"it follows {_shown(last)}: changes are missing between them"
        elif main < before:
            yield f"it follows {_shown(last)}"
        elif main != before + 1:
            yield f"revisions {before + 1} to {main - 1} are missing before it"
        elif sub:
            yield f"its first change is number {sub}, not 0"

    def _row(self, packed: int, value: bytes) -> Iterator[str]:
        """Whether this row may follow what is known of its key."""
        if not value:
            if packed >> MAIN_SHIFT > self._compact:
                yield "a row without content, above the compaction that a bumped revision comes with"
            return
        key = split_key(value)[0]
        known = self.lives.get(key)
        if known is not None and self._swept and packed >> MAIN_SHIFT <= self._compact:
            self._unswept += 1
        if packed & TOMBSTONE:
            yield from self._deletion(packed, key, known)
            self.lives[key] = _Life(packed, 0, 0, 0)
            return
        kv = decode_bytes(value)
        yield from self._put(packed, kv, known)
        self.lives[key] = _Life(packed, kv.create_revision, kv.version, kv.lease)

    def _deletion(self, packed: int, key: bytes, known: _Life | None) -> Iterator[str]:
        if known is None:
            if packed >> MAIN_SHIFT > self._compact:
                yield f"it deletes the key {key!r}, which is not there"
        elif not known.version:
            yield f"it deletes the key {key!r}, which was deleted at {_shown(known.packed)} already"

    def _put(self, packed: int, kv: KeyValue, known: _Life | None) -> Iterator[str]:
        main = packed >> MAIN_SHIFT
        name = f"the key {kv.key!r}"
        if kv.mod_revision != main:
            yield f"{name} says that it was changed at {kv.mod_revision}"
        if known is not None and known.version:
            if (kv.create_revision, kv.version) != (known.created, known.version + 1):
                yield (
                    f"{name} says created at {kv.create_revision}, version {kv.version}; after"
                    f" {_shown(known.packed)} it is created at {known.created}, version {known.version + 1}"
                )
        elif known is not None or kv.create_revision > self._compact or kv.create_revision < 1:
            if (kv.create_revision, kv.version) != (main, 1):
                yield (
                    f"{name} begins a life here, but says created at {kv.create_revision},"
                    f" version {kv.version}"
                )
        elif kv.create_revision > main or kv.version < 1:
            yield f"{name} says created at {kv.create_revision}, version {kv.version}"


def _leases(view: View, keys: _Keys) -> Iterator[Problem]:
    """The records of leases, and the keys that refer to them."""
    known: set[int] = set()
    for key, value in view.scan("lease"):
        try:
            lease = lease_record.decode(key, value)
        except CorruptData as error:
            yield Problem("bucket lease", str(error))
            continue
        known.add(lease.id)
        if lease.ttl <= 0:
            yield Problem(f"lease {lease.id:016x}", f"its time to live is {lease.ttl} seconds")
    for name, life in keys.lives.items():
        if life.version and life.lease and life.lease not in known:
            where = f"lease {life.lease & (1 << 64) - 1:016x}"
            yield Problem(
                where, f"is not there, but the key {name!r} refers to it: it never expires"
            )


def _sub(packed: int) -> int:
    return (packed & (1 << MAIN_SHIFT) - 1) >> 1


def _shown(packed: int) -> str:
    return f"{packed >> MAIN_SHIFT}_{_sub(packed)}{'t' if packed & TOMBSTONE else ''}"
