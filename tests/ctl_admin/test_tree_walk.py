"""A tree is built from pages, with counts in place of what is too deep to be shown."""

from __future__ import annotations

import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.cli.ctl.tree.lines import Look, lines_of, printable, summary_of
from triode.cli.ctl.tree.node import Key, KeyTree
from triode.cli.ctl.tree.walk import Pair, Walk
from triode.client.keys import prefix

NAMES = st.lists(st.sampled_from([b"a", b"b", b"c", b"", b"\xff"]), min_size=1, max_size=5).map(
    b"/".join
)


def key(value: bytes = b"") -> Key:
    return Key(value, 1)


def built(
    names: list[bytes], start: bytes = b"", page: int = 1000, depth: int = 0
) -> tuple[KeyTree, int]:
    """The tree of these keys, read as a server would give them, and how many reads it took."""
    stored = sorted(set(names) - {b""})
    keys = prefix(start)
    tree = KeyTree(start, b"/", depth)
    walk = Walk(tree, keys.key, keys.range_end)
    reads = 0
    while read := walk.next():
        reads += 1
        assert reads < 10_000, "it goes round in circles"
        end = len(stored) if read.end == b"\0" else bisect.bisect_left(stored, read.end)
        found = stored[bisect.bisect_left(stored, read.start) : end]
        if read.count_only:
            walk.counted(len(found))
        else:
            walk.page([Pair(name, key()) for name in found[:page]], more=len(found) > page)
    return tree, reads


def text(tree: KeyTree, look: Look | None = None) -> str:
    return "\n".join("".join(piece for _, piece in line) for line in lines_of(tree, look or Look()))


def test_branches_come_with_counts() -> None:
    """Every branch says how many keys are in it, itself included."""
    tree, _ = built([b"jobs/1", b"jobs/2/a", b"jobs/2/b", b"jobs", b"z"])
    assert text(tree) == (
        ". (5 keys)\n"
        "├── jobs/ (4 keys)\n"
        "│   ├── 1\n"
        "│   └── 2/ (2 keys)\n"
        "│       ├── a\n"
        "│       └── b\n"
        "└── z"
    )
    assert summary_of(tree, 7) == "5 keys in 2 branches, revision 7"


def test_a_prefix_in_the_middle_of_a_name() -> None:
    """The root is the branch that holds all that begin so; names are not torn."""
    tree, _ = built([b"/a/bcd", b"/a/be", b"/a/x", b"/b"], b"/a/b")
    assert text(tree) == "/a/ (2 keys)\n├── bcd\n└── be"


def test_deep_levels_are_counted() -> None:
    tree, _ = built([b"a/b/c", b"a/b/d", b"a/e"], depth=1)
    assert text(tree) == ". (3 keys)\n└── a/ (3 keys)"


def test_what_is_not_shown_is_not_read() -> None:
    """Ten thousand keys in one branch take a page, a count, and a page for the rest."""
    names = [b"big/%05d" % n for n in range(10_000)] + [b"c", b"small/1"]
    tree, reads = built(names, page=100, depth=1)
    assert reads == 3
    assert text(tree) == ". (10,002 keys)\n├── big/ (10,000 keys)\n├── c\n└── small/ (1 key)"


def test_a_branch_at_the_end_of_the_key_space() -> None:
    """Behind the last possible prefix there is nothing to go on with."""
    tree, _ = built([b"\xff/%d" % n for n in range(5)], page=2, depth=1)
    assert tree.root.keys == 5


@given(
    st.lists(NAMES, max_size=30),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from([b"", b"a", b"a/", b"/"]),
)
def test_pages_and_jumps_do_not_change_the_tree(
    names: list[bytes], page: int, depth: int, start: bytes
) -> None:
    tree, _ = built(names, start, page, depth)
    whole, _ = built(names, start, 1000, depth)
    assert text(tree) == text(whole)
    assert tree.root.keys == len({name for name in names if name and name.startswith(start)})


def test_values_fit_on_a_line() -> None:
    tree = KeyTree(b"", b"/")
    tree.add(b"k", key(b"a\nb\xff"))
    tree.add(b"long", key(b"x" * 5000))
    lines = text(tree, Look(values=True)).splitlines()
    assert lines[1] == r"├── k = a\nb\xff"
    assert lines[2] == f"└── long = {'x' * 100}… (5,000 bytes)"


def test_a_branch_with_many_children_is_cut() -> None:
    tree, _ = built([b"%d" % n for n in range(9)])
    assert text(tree, Look(children_max=2)) == ". (9 keys)\n├── 0\n├── 1\n└── … 7 more"


def test_a_key_may_be_a_branch_and_have_an_empty_name() -> None:
    """`a` and `a/` are two keys."""
    tree = KeyTree(b"", b"/")
    tree.add(b"a", key(b"1"))
    tree.add(b"a/", key(b"2"))
    assert text(tree, Look(values=True)) == '. (2 keys)\n└── a/ (2 keys) = 1\n    └── "" = 2'


def test_paths_deeper_than_the_stack() -> None:
    tree, _ = built([b"/".join([b"x"] * 3000)])
    assert len(text(tree).splitlines()) == 3001


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain", "plain"),
        ("grün".encode(), "grün"),
        (b"\x00\x1b[31m", r"\x00\x1b[31m"),
        (b"a\\b", r"a\\b"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("\u200b".encode(), r"\u200b"),
    ],
)
def test_nothing_reaches_the_terminal_raw(name: bytes, shown: str) -> None:
    """A key cannot move the cursor or change colours."""
    assert printable(name) == shown
