"""Which rows of a store cannot have come to be: each rule broken once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.backends.buffer import Backend
from triode.backends.contract import Batch
from triode.backends.memory import MemoryEngine
from triode.mvcc.examine import Problem, examine
from triode.mvcc.keyvalue import encode, tombstone
from triode.mvcc.lease import Lessor
from triode.mvcc.store import Store
from triode.rpc.pb.rpc_pb2 import DeleteRangeRequest, PutRequest

Rows = dict[str, dict[bytes, Any]]


def at(main: int, sub: int = 0, *, deleted: bool = False) -> bytes:
    return main.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big") + (b"t" if deleted else b"")


def found(rows: Rows) -> list[Problem]:
    engine = MemoryEngine()
    engine.commit(Batch({bucket: {**of} for bucket, of in rows.items()}))
    with engine.snapshot() as view:
        return examine(view)


def test_a_sound_store_has_no_problems(rows: Rows) -> None:
    assert found(rows) == []


def change(rows: Rows, key: bytes, value: bytes | None) -> Rows:
    if value is None:
        del rows["key"][key]
    else:
        rows["key"][key] = value
    return rows


BROKEN: dict[str, Callable[[Rows], Any]] = {
    "revisions 5 to 5 are missing": lambda r: change(r, at(5, deleted=True), None),
    "changes are missing between them": lambda r: change(
        r, at(6, 2), encode(b"z", 6, 6, 1, b"", 0)
    ),
    "its first change is number 1, not 0": lambda r: (
        change(r, at(4), None),
        change(r, at(4, 1), encode(b"b", 4, 4, 1, b"", 0)),
    ),
    "says that it was changed at 5": lambda r: change(r, at(6), encode(b"a", 6, 5, 1, b"", 0)),
    "begins a life here": lambda r: change(r, at(6), encode(b"a", 2, 6, 3, b"", 0)),
    "is created at 2, version 2": lambda r: change(r, at(4, 1), encode(b"a", 2, 4, 3, b"", 0)),
    "which is not there": lambda r: change(r, at(7, deleted=True), tombstone(b"never")),
    "was deleted at 5_0t already": lambda r: (
        change(r, at(6), encode(b"c", 6, 6, 1, b"", 0)),
        change(r, at(7, deleted=True), tombstone(b"a")),
    ),
    "a row without content": lambda r: change(r, at(7), b""),
    "is not a revision": lambda r: change(r, b"short", b""),
    "not a KeyValue": lambda r: change(r, at(7), b"\x0a\x01a\xff\xff"),
    "the key b'b' refers to it": lambda r: r["lease"].clear(),
    "its time to live is 0 seconds": lambda r: r["lease"].update({bytes(7) + b"\7": b"\x08\x07"}),
    "holds the record of lease": lambda r: r["lease"].update({bytes(7) + b"\7": b"\x08\x08\x10\1"}),
    "but was scheduled up to 2 only": lambda r: r["meta"].update({b"scheduledCompactRev": at(2)}),
    "finishedCompactRev is no revision": lambda r: r["meta"].update({b"finishedCompactRev": b"x"}),
}


@pytest.mark.parametrize("text", BROKEN)
def test_each_rule(text: str, rows: Rows) -> None:
    BROKEN[text](rows)
    problems = [problem for problem in found(rows) if not problem.note]
    assert any(text in f"{problem.where}: {problem.what}" for problem in problems), problems


def test_what_compaction_has_left_is_a_note(rows: Rows) -> None:
    """A row that nobody can see does no harm."""
    rows["meta"][b"scheduledCompactRev"] = rows["meta"][b"finishedCompactRev"] = at(4)
    (note,) = found(rows)
    assert note.note
    assert "1 rows are left" in note.what
    rows["meta"][b"scheduledCompactRev"] = at(5)
    (note,) = found(rows)
    assert note.note
    assert "goes on when the member starts" in note.what


def test_many_problems_are_not_all_told(rows: Rows) -> None:
    for number in range(300):
        rows["key"][b"bad%03d" % number] = b""
    assert len(found(rows)) < 110


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "lease", "delete", "range", "compact", "sweep"]),
            st.integers(0, 5),
        ),
        max_size=40,
    )
)
def test_what_a_store_writes_is_sound(steps: list[tuple[str, int]]) -> None:
    """Whatever a store has been asked for, and wherever its compaction stands."""
    backend = Backend(MemoryEngine())
    lessor = Lessor(backend, ttl_seconds_min=1)
    lessor.grant(7, 100, 0.0)
    store = Store(backend, lease_hooks=lessor)
    for what, number in steps:
        key = b"k%d" % number
        if what == "put":
            store.put(PutRequest(key=key, value=b"v"))
        elif what == "lease":
            store.put(PutRequest(key=key, value=b"v", lease=7))
        elif what == "delete":
            store.delete_range(DeleteRangeRequest(key=key))
        elif what == "range":
            store.delete_range(DeleteRangeRequest(key=b"k1", range_end=key))
        elif what == "compact" and store.revision - number > store.compact_revision:
            store.compact(max(store.revision - number, 1))
        else:
            store.compaction_slice(number + 1)
    with backend.snapshot() as view:
        assert [problem for problem in examine(view) if not problem.note] == []
