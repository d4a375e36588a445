"""Any view as a bbolt file: what etcd calls a snapshot, and what its tools open.

The image is laid out in one pass over the view and written in a second, so its size is known before its
first byte and neither pass holds more than a page per level of a tree. That works because a tree is
laid out in post-order: leaves as their rows arrive, a branch page as soon as its children are known,
the root last. Its page numbers follow from the sizes alone, so both passes find the same ones.

bbolt's own writer keeps one promise that its reader leans on when rows are deleted later: a branch
page has at least two children. So a full branch page is written without its newest child, which waits
for a sibling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from ..errors import InvariantBroken
from .bbolt_format import (
    BRANCH_ELEMENT,
    BRANCH_PAGE,
    BUCKET,
    BUCKET_ELEMENT,
    CHECKSUM,
    FREELIST_PAGE,
    KEY_BYTES_MAX,
    LEAF_ELEMENT,
    LEAF_PAGE,
    MAGIC,
    META,
    META_PAGE,
    PAGE,
    PAGE_BYTES,
    VERSION,
    fnv1a,
)
from .contract import ETCD_BUCKETS, Row, View

__all__ = ["ETCD_BUCKETS", "SHA256_BYTES", "image", "snapshot_file"]

SHA256_BYTES = 32
CHUNK_BYTES = 64 << 10
_FREELIST_AT = 2  # after two metas; it is empty
_FIRST_TREE_PAGE = 3
_ELEMENT_BYTES = 16  # of a leaf and of a branch alike


class _Page(NamedTuple):
    """A leaf page with its rows, or a branch page with (first key, page number) of its children."""

    id: int
    span: int  # pages that it takes, overflow included
    leaf: bool
    entries: list[tuple[bytes, bytes]] | list[tuple[bytes, int]]


class _Branch:
    """A branch page that is being gathered."""

    def __init__(self) -> None:
        self.children: list[tuple[bytes, int]] = []
        self.bytes = PAGE.size

    def add(self, key: bytes, page: int) -> None:
        self.children.append((key, page))
        self.bytes += _ELEMENT_BYTES + len(key)


class _Tree:
    """Lays one tree out from page `next` on; the page that comes last is its root."""

    def __init__(self, first: int) -> None:
        self.next = first
        self._levels: list[_Branch] = []

    def pages(self, rows: Iterable[Row]) -> Iterator[_Page]:
        leaf: list[Row] = []
        used = PAGE.size
        for row in rows:
            key, value = row
            if not 0 < len(key) <= KEY_BYTES_MAX:
                raise InvariantBroken(f"bbolt has no keys of {len(key)} bytes")
            size = _ELEMENT_BYTES + len(key) + len(value)
            if used + size > PAGE_BYTES and leaf:
                yield from self._leaf(leaf, used)
                leaf = []
                used = PAGE.size
            leaf.append(row)
            used += size
        if leaf or not self._levels:
            yield from self._leaf(leaf, used)
        yield from self._finish()

    def _place(self, size: int, leaf: bool, entries: list[Row] | list[tuple[bytes, int]]) -> _Page:
        page = _Page(self.next, -(-size // PAGE_BYTES), leaf, entries)
        self.next += page.span
        return page

    def _leaf(self, rows: list[Row], size: int) -> Iterator[_Page]:
        page = self._place(size, True, rows)
        yield page
        yield from self._adopt(0, rows[0][0] if rows else b"", page.id)

    def _adopt(self, level: int, key: bytes, page: int) -> Iterator[_Page]:
        """Give the branch of `level` a child; yields the branch pages that this fills."""
        if level == len(self._levels):
            self._levels.append(_Branch())
        branch = self._levels[level]
        full = branch.bytes + _ELEMENT_BYTES + len(key) > PAGE_BYTES
        if full and len(branch.children) > 2:
            waiting = branch.children.pop()
            branch.bytes -= _ELEMENT_BYTES + len(waiting[0])
            self._levels[level] = _Branch()
            self._levels[level].add(*waiting)
            yield from self._branch(level, branch)
        self._levels[level].add(key, page)

    def _branch(self, level: int, branch: _Branch) -> Iterator[_Page]:
        page = self._place(branch.bytes, False, branch.children)
        yield page
        yield from self._adopt(level + 1, branch.children[0][0], page.id)

    def _finish(self) -> Iterator[_Page]:
        level = 0
        while len((branch := self._levels[level]).children) > 1:
            yield from self._branch(level, branch)
            level += 1
        assert level == len(self._levels) - 1, "an only child is the root"


def _encode(page: _Page, element_flags: int) -> bytes:
    """The bytes of a page with its overflow, padded."""
    count = len(page.entries)
    heads: list[bytes] = []
    at = count * _ELEMENT_BYTES  # from the element in hand to its key
    data: Iterable[bytes]
    if page.leaf:
        for key, value in page.entries:
            assert isinstance(value, bytes)
            heads.append(LEAF_ELEMENT.pack(element_flags, at, len(key), len(value)))
            at += len(key) + len(value) - _ELEMENT_BYTES
        data = chain.from_iterable(page.entries)  # type: ignore[arg-type]
    else:
        for key, child in page.entries:
            heads.append(BRANCH_ELEMENT.pack(at, len(key), child))
            at += len(key) - _ELEMENT_BYTES
        data = (key for key, _ in page.entries)
    kind = LEAF_PAGE if page.leaf else BRANCH_PAGE
    content = b"".join([PAGE.pack(page.id, kind, count, page.span - 1), *heads, *data])
    return content.ljust(page.span * PAGE_BYTES, b"\0")


def _meta(page: int, root: int, pages: int) -> bytes:
    """Meta page 0 or 1; its transaction number is its own number, as in a new file of bbolt's."""
    fields = META.pack(MAGIC, VERSION, PAGE_BYTES, 0, root, 0, _FREELIST_AT, pages, page)
    content = PAGE.pack(page, META_PAGE, 0, 0) + fields + CHECKSUM.pack(fnv1a(fields))
    return content.ljust(PAGE_BYTES, b"\0")


def image(view: View, *, required: Iterable[str] = ETCD_BUCKETS) -> tuple[int, Iterator[bytes]]:
    """The view as a bbolt database file: (its size in bytes, its content in chunks).

    Buckets of `required` that the view lacks are there too, empty. This call reads the view once,
    and consuming the chunks reads it again; both may happen on any one thread, and the view must
    stay open until then. Keys are 1 to 32768 bytes, as bbolt's are.
    """
    names = sorted({*view.buckets(), *required})
    roots: list[Row] = []
    next_page = _FIRST_TREE_PAGE
    for name in names:
        tree = _Tree(next_page)
        for page in tree.pages(view.scan(name)):
            root = page.id
        roots.append((name.encode(), BUCKET.pack(root, 0)))
        next_page = tree.next
    top = _Tree(next_page)
    top_pages = list(top.pages(roots))
    size = top.next * PAGE_BYTES
    metas = [_meta(page, top_pages[-1].id, top.next) for page in (0, 1)]
    return size, _chunks(view, names, metas, top_pages, size)


def _chunks(
    view: View, names: list[str], metas: list[bytes], top_pages: list[_Page], size: int
) -> Iterator[bytes]:
    written = 0
    parts = [*metas, PAGE.pack(_FREELIST_AT, FREELIST_PAGE, 0, 0).ljust(PAGE_BYTES, b"\0")]
    held = sum(map(len, parts))
    next_page = _FIRST_TREE_PAGE
    for name in names:
        tree = _Tree(next_page)
        for page in tree.pages(view.scan(name)):
            parts.append(_encode(page, 0))
            held += len(parts[-1])
            if held >= CHUNK_BYTES:
                yield b"".join(parts)
                written += held
                parts = []
                held = 0
        next_page = tree.next
    parts += (_encode(page, BUCKET_ELEMENT) for page in top_pages)
    written += sum(map(len, parts))
    if written != size:
        raise InvariantBroken("the view has changed between the two passes")
    yield b"".join(parts)


def snapshot_file(
    view: View, *, required: Iterable[str] = ETCD_BUCKETS
) -> tuple[int, Iterator[bytes]]:
    """The image followed by its SHA-256: the file that `etcdctl snapshot save` makes."""
    size, chunks = image(view, required=required)
    return size + SHA256_BYTES, _with_digest(chunks)


def _with_digest(chunks: Iterator[bytes]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    yield digest.digest()
