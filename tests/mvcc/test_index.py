from __future__ import annotations

import random

import pytest

from triode.errors import InvariantBroken
from triode.mvcc.index import Index, KeyIndex


def at(main: int, *, deleted: bool = False) -> int:
    return main << 32 | deleted


def life() -> KeyIndex:
    """put at 2, put at 3, delete at 5, put at 8: the example at the head of the module."""
    entry = KeyIndex(b"k", at(2), 2, 1)
    entry.put(at(3), 2, 2)
    entry.put(at(5, deleted=True), 0, 0)
    entry.put(at(8), 8, 1)
    return entry


@pytest.mark.parametrize(
    ("revision", "found"), [(1, 0), (2, 2), (3, 3), (4, 3), (5, 0), (7, 0), (8, 8), (99, 8)]
)
def test_what_is_visible_at_a_revision(revision: int, found: int) -> None:
    assert life().at(revision) >> 32 == found


@pytest.mark.parametrize(
    ("revision", "left"),
    [
        (1, "2 3 5t 8"),
        (2, "2 3 5t 8"),
        (3, "3 5t 8"),
        (4, "3 5t 8"),
        (5, "5t 8"),
        (6, "8"),
        (8, "8"),
        (9, "8"),
    ],
)
def test_compaction(revision: int, left: str) -> None:
    entry = life()
    assert not entry.compact(revision)
    assert repr(entry) == f"<KeyIndex b'k' {left}>"
    assert not entry.compact(revision), "doing it again changes nothing"
    assert repr(entry) == f"<KeyIndex b'k' {left}>"


def test_a_deleted_key_leaves_with_the_compaction_after_its_delete() -> None:
    entry = KeyIndex(b"k", at(2), 2, 1)
    entry.put(at(4, deleted=True), 0, 0)
    assert not entry.compact(4)
    assert repr(entry) == "<KeyIndex b'k' 4t>"
    assert entry.compact(5)


def test_revisions_only_grow() -> None:
    entry = life()
    with pytest.raises(InvariantBroken):
        entry.put(at(8), 8, 2)


def test_counting_agrees_with_visiting() -> None:
    pick = random.Random(1)
    index = Index()
    for main in range(2, 400):
        key = b"%02d" % pick.randrange(60)
        entry = index.keys.get(key)
        if entry is None:
            index.add(KeyIndex(key, at(main), main, 1))
        elif entry.version and pick.random() < 0.5:
            entry.put(at(main, deleted=True), 0, 0)
            index.dead.add(key)
        elif not entry.version:
            entry.put(at(main), main, 1)
            index.dead.discard(key)
        start = b"%02d" % pick.randrange(60)
        end = pick.choice([None, b"%02d" % pick.randrange(60)])
        live = [entry.key for entry in index.visit(start, end) if entry.version]
        assert live == sorted(live)
        assert index.count(start, end) == len(live)
