"""Whether a bbolt file is sound, page by page: what `bbolt check` and `etcdutl snapshot status` look at first.

Every page must be reachable from the root exactly once, or stand in the list of free pages; none lies outside, bears
another page's number or is of a kind that does not belong there; and keys ascend, within each page and from page to
page. A reader that follows a tree with a swapped page answers wrongly without noticing, so nothing else should be
done with a file before this.

etcd writes no list of free pages (it finds them again at start), and then a page that nobody refers to is free.
Source: go.etcd.io/bbolt tx_check.go.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator

from .bbolt_file import BboltView
from .bbolt_format import (
    BRANCH_ELEMENT,
    BRANCH_PAGE,
    BUCKET,
    BUCKET_ELEMENT,
    FREELIST_PAGE,
    LEAF_ELEMENT,
    LEAF_PAGE,
    PAGE,
)

__all__ = ["PROBLEMS_MAX", "bbolt_problems"]

PROBLEMS_MAX = 100
"""After so many nothing more is looked for."""
NO_FREELIST = (1 << 64) - 1
_COUNT_FOLLOWS = 0xFFFF
_NUMBER = struct.Struct("<Q")


class _Enough(Exception):  # it is no error
    """There are `PROBLEMS_MAX` problems."""


def bbolt_problems(view: BboltView, on_page: Callable[[], None] = lambda: None) -> list[str]:
    """What is wrong with the file, a line each; empty if it is sound.

    `on_page` is called for each page of the trees, for whoever shows how far it is; there are
    `view.meta.pages` at most.
    """
    check = _Check(view, on_page)
    try:
        check.run()
    except _Enough:
        check.problems.append(f"and more: nothing was looked for after {PROBLEMS_MAX}")
    return check.problems


class _Check:
    def __init__(self, view: BboltView, on_page: Callable[[], None]) -> None:
        self.problems: list[str] = []
        self._data = view.data
        self._meta = view.meta
        self._on_page = on_page
        self._seen: set[int] = {0, 1}
        self._free: set[int] = set()

    def _say(self, problem: str) -> None:
        if len(self.problems) >= PROBLEMS_MAX:
            raise _Enough
        self.problems.append(problem)

    def run(self) -> None:
        has_list = self._meta.freelist != NO_FREELIST
        if has_list:
            self._read_free_pages(self._meta.freelist)
        for name, value in self._tree(self._meta.root, buckets=True):
            root, _ = BUCKET.unpack_from(value)
            if root:
                for _ in self._tree(root):
                    pass
            else:
                self._inline(name, value[BUCKET.size :])
        if has_list:
            for page in range(self._meta.pages):
                if page not in self._seen and page not in self._free:
                    self._say(f"page {page}: unreachable unfreed")

    def _read_free_pages(self, page: int) -> None:
        header = self._header(page)
        if header is None:
            return
        at, kind, count, overflow = header
        self._take(page, overflow)
        if not kind & FREELIST_PAGE:
            self._say(f"page {page}: not a list of free pages (type {kind:#x})")
            return
        first = at + PAGE.size
        if count == _COUNT_FOLLOWS:
            (count,) = _NUMBER.unpack_from(self._data, first)
            first += _NUMBER.size
        if first + count * _NUMBER.size > at + (overflow + 1) * self._meta.page_bytes:
            self._say(f"page {page}: {count} free pages do not fit into it")
            return
        for (free,) in _NUMBER.iter_unpack(self._data[first : first + count * _NUMBER.size]):
            if free in self._free:
                self._say(f"page {free}: already freed")
            self._free.add(free)

    def _header(self, page: int) -> tuple[int, int, int, int] | None:
        """(offset, kind, elements, overflow) of a page, if it may be read."""
        if not 1 < page < self._meta.pages:
            self._say(f"page {page}: out of bounds: {self._meta.pages}")
            return None
        at = page * self._meta.page_bytes
        number, kind, count, overflow = PAGE.unpack_from(self._data, at)
        if number != page:
            self._say(f"page {page}: its header is that of page {number}")
            return None
        if page + overflow >= self._meta.pages:
            self._say(f"page {page}: out of bounds: {self._meta.pages} (with {overflow} overflow)")
            return None
        return at, kind, count, overflow

    def _take(self, page: int, overflow: int) -> bool:
        """Note that a page is reached; False if it was before, so that no cycle is followed."""
        for each in range(page, page + overflow + 1):
            if each in self._seen:
                self._say(f"page {each}: multiple references")
                return False
            self._seen.add(each)
            if each in self._free:
                self._say(f"page {each}: reachable freed")
        return True

    def _tree(self, root: int, *, buckets: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Walk a tree; yields the rows if they are buckets. Key order goes across its leaves."""
        waiting: list[tuple[int, bytes | None]] = [(root, None)]
        last: bytes | None = None
        while waiting:
            page, least = waiting.pop()
            header = self._header(page)
            if header is None:
                continue
            at, kind, count, overflow = header
            if not self._take(page, overflow):
                continue
            self._on_page()
            end = at + (overflow + 1) * self._meta.page_bytes
            if kind == LEAF_PAGE:
                for key, value in self._leaf(
                    self._data, f"page {page}", at, count, end, bucket=buckets
                ):
                    if last is not None and key <= last:
                        self._say(f"page {page}: key {key.hex()} does not follow {last.hex()}")
                    if least is not None and key < least:
                        self._say(
                            f"page {page}: key {key.hex()} is below its branch's {least.hex()}"
                        )
                    last, least = key, None
                    if buckets:
                        yield key, value
            elif kind == BRANCH_PAGE:
                waiting += reversed(list(self._branch(page, at, count, end)))
            else:
                self._say(f"page {page}: invalid type: unknown<{kind:02x}>")

    def _leaf(
        self,
        data: bytes | mmap.mmap,
        name: str,
        at: int,
        count: int,
        end: int,
        *,
        bucket: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """The rows of a leaf page that lies at `at` and ends before `end`."""
        wanted = BUCKET_ELEMENT if bucket else 0
        for n in range(count):
            place = at + PAGE.size + n * LEAF_ELEMENT.size
            if place + LEAF_ELEMENT.size > end:
                self._say(f"{name}: {count} elements do not fit into it")
                return
            flags, position, key_bytes, value_bytes = LEAF_ELEMENT.unpack_from(data, place)
            start = place + position
            stop = start + key_bytes + value_bytes
            if stop > end or not key_bytes:
                self._say(f"{name}: element {n} lies outside")
                return
            if flags != wanted or (bucket and value_bytes < BUCKET.size):
                self._say(f"{name}: element {n} is {'no' if bucket else 'a'} bucket")
                continue
            yield data[start : start + key_bytes], data[start + key_bytes : stop]

    def _branch(self, page: int, at: int, count: int, end: int) -> Iterator[tuple[int, bytes]]:
        if not count:
            self._say(f"page {page}: a branch without children")
        last: bytes | None = None
        for n in range(count):
            place = at + PAGE.size + n * BRANCH_ELEMENT.size
            if place + BRANCH_ELEMENT.size > end:
                self._say(f"page {page}: {count} elements do not fit into it")
                return
            position, key_bytes, child = BRANCH_ELEMENT.unpack_from(self._data, place)
            start = place + position
            if start + key_bytes > end:
                self._say(f"page {page}: element {n} lies outside")
                return
            key = self._data[start : start + key_bytes]
            if last is not None and key <= last:
                self._say(f"page {page}: key {key.hex()} does not follow {last.hex()}")
            last = key
            yield child, key

    def _inline(self, bucket: bytes, content: bytes) -> None:
        """A bucket that is so small that its only page is its value."""
        name = f"inline bucket {bucket!r}"
        if len(content) < PAGE.size:
            self._say(f"{name}: it is cut short")
            return
        _, kind, count, _ = PAGE.unpack_from(content)
        if kind != LEAF_PAGE:
            self._say(f"{name}: invalid type: unknown<{kind:02x}>")
            return
        last: bytes | None = None
        for key, _ in self._leaf(content, name, 0, count, len(content)):
            if last is not None and key <= last:
                self._say(f"{name}: key {key.hex()} does not follow {last.hex()}")
            last = key
