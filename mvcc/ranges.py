"""Range: which keys, at which revision, in which order, and how many.

The pipeline is etcd's: read the keys of [key, range_end) at the revision in key order; drop those
outside the min/max revisions; sort; cut at the limit. `count` is the number of keys before filters
and limit. `range_end` is empty for the single key, one zero byte for "key and all after it".

An answer is a list of framed KeyValues (see `keyvalue`), so nothing is decoded unless a filter or a
sort needs to look inside, and the ones that look at revisions use the index where it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ..errors import Compacted, FutureRev
from .index import KeyIndex
from .keyvalue import decode, strip_value, value_of
from .requests import RangeRequest
from .revision import MAIN_SHIFT, TOMBSTONE, bound_after

if TYPE_CHECKING:
    from .store import Store

__all__ = [
    "RangeResult",
    "has_revision_filters",
    "is_default_order",
    "open_end",
    "run_range",
]

NONE, ASCEND, DESCEND = 0, 1, 2
KEY, VERSION, CREATE, MOD, VALUE = 0, 1, 2, 3, 4

Load = Callable[[KeyIndex, int], bytes]
Found = tuple[KeyIndex, int]  # a key in the range, and the packed revision of it that is visible


class RangeResult(NamedTuple):
    """The answer to a range; `revision` is the store's, whatever revision was read."""

    revision: int
    kvs: list[bytes]
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs
    more: bool


def open_end(range_end: bytes) -> bytes | None:
    """The end of [key, range_end) for the index: None for the open end, one zero byte on the wire."""
    return None if range_end == b"\0" else range_end


def has_revision_filters(request: RangeRequest) -> bool:
    """Whether any of the min/max revision filters is set."""
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def is_default_order(request: RangeRequest) -> bool:
    """Whether etcd reads no more keys than the limit asks for.

    With order NONE it does so for every target, and then sorts what it has read by that target.
    """
    order = request.sort_order
    return order == NONE or (order == ASCEND and request.sort_target == KEY)


def visible(entries: Iterator[KeyIndex], bound: int | None) -> Iterator[Found]:
    """Those of `entries` that exist below `bound`, an exclusive packed revision; None is "now"."""
    if bound is None:
        return ((entry, entry.modified) for entry in entries if entry.version)
    newest = ((entry, entry.newest(bound)) for entry in entries)
    return (found for found in newest if found[1] and not found[1] & TOMBSTONE)


def run_range(store: Store, request: RangeRequest) -> RangeResult:
    """Answer a range. Raises FutureRev, Compacted.

    Inside a write txn the present is the revision being made, once the txn has changed something.
    """
    store.counts.ranges += 1
    latest = store.latest
    revision = request.revision
    bound = None
    if revision > 0 and revision != latest:
        if revision > latest:
            raise FutureRev
        if revision < store.compact_revision:
            raise Compacted
        bound = bound_after(revision)
    range_end = request.range_end
    if range_end:
        return _run_span(store, request, open_end(range_end), bound)
    entry = store.index.keys.get(request.key)
    if entry is None:
        return RangeResult(latest, [], 0, False)
    packed = entry.modified if bound is None else entry.newest(bound)
    if packed & TOMBSTONE or not packed:
        return RangeResult(latest, [], 0, False)
    if request.count_only:
        return RangeResult(latest, [], 1, False)
    if has_revision_filters(request) and not filtered([(entry, packed)], request, store.load):
        return RangeResult(latest, [], 1, False)
    framed = entry.framed if bound is None else None
    if framed is None:
        framed = store.load(entry, packed)
    return RangeResult(latest, [strip_value(framed) if request.keys_only else framed], 1, False)


def _run_span(
    store: Store, request: RangeRequest, end: bytes | None, bound: int | None
) -> RangeResult:
    start = request.key
    latest = store.latest
    if request.count_only:
        return RangeResult(latest, [], _count(store, start, end, bound), False)
    limit = request.limit
    filters = has_revision_filters(request)
    cut_early = limit > 0 and not filters and is_default_order(request)
    found = visible(store.index.visit(start, end), bound)
    if cut_early:
        some = list(islice(found, limit + 1))
        count = len(some) if len(some) <= limit else _count(store, start, end, bound)
    else:
        some = list(found)
        count = len(some)
    if filters:
        some = filtered(some, request, store.load)
    if request.sort_target != KEY or request.sort_order == DESCEND:
        some = in_order(some, request, store)
    more = 0 < limit < len(some)
    if more:
        del some[limit:]
    kvs = store.load_many(some)
    if request.keys_only:
        kvs = [strip_value(framed) for framed in kvs]
    return RangeResult(latest, kvs, count, more)


def _count(store: Store, start: bytes, end: bytes | None, bound: int | None) -> int:
    if bound is None:
        return store.index.count(start, end)
    return sum(1 for _ in visible(store.index.visit(start, end), bound))


def _create(found: Found, load: Load) -> int:
    entry, packed = found
    if packed == entry.modified:
        return entry.created
    return decode(load(entry, packed)).create_revision


def _version(found: Found, load: Load) -> int:
    entry, packed = found
    if packed == entry.modified:
        return entry.version
    return decode(load(entry, packed)).version


def filtered(found: list[Found], request: RangeRequest, load: Load) -> list[Found]:
    """Apply the min/max filters, all inclusive; zero means "not set"."""
    if top := request.max_mod_revision:
        found = [f for f in found if f[1] >> MAIN_SHIFT <= top]
    if low := request.min_mod_revision:
        found = [f for f in found if f[1] >> MAIN_SHIFT >= low]
    if top := request.max_create_revision:
        found = [f for f in found if _create(f, load) <= top]
    if low := request.min_create_revision:
        found = [f for f in found if _create(f, load) >= low]
    return found


def in_order(found: list[Found], request: RangeRequest, store: Store) -> list[Found]:
    """Sort; a target other than KEY with order NONE ascends. Ties keep the order of the keys."""
    target = request.sort_target
    down = request.sort_order == DESCEND
    load = store.load
    if target == KEY:
        return found[::-1] if down else found
    if target == MOD:
        return sorted(found, key=lambda f: f[1] >> MAIN_SHIFT, reverse=down)
    if target == CREATE:
        return sorted(found, key=lambda f: _create(f, load), reverse=down)
    if target == VERSION:
        return sorted(found, key=lambda f: _version(f, load), reverse=down)
    assert target == VALUE, "checked before: sort targets are 0..4"
    values = map(value_of, store.load_many(found))
    ranked = sorted(zip(values, range(len(found)), strict=True), key=itemgetter(0), reverse=down)
    return [found[at] for _, at in ranked]
