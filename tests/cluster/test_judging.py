"""The check of histories that needs no search: what it must find."""

from __future__ import annotations

from typing import Any

import pytest

EVENTS = {2: {b"a": b"1"}, 3: {b"a": b"2"}, 4: {b"b": b"3"}, 5: {b"a": None}}


@pytest.fixture
def told(history: Any) -> list[Any]:
    """A history that is right, of one client after the other; times are 10, 20, ..."""

    def one(at: int, kind: str, key: bytes, value: bytes | None, revision: int, **more: Any) -> Any:
        made = history.Operation(1, "m0", kind, key, value, at, at + 5, revision)
        for name, content in more.items():
            setattr(made, name, content)
        return made

    return [
        one(10, "put", b"a", b"1", 2, changed=True),
        one(20, "put", b"a", b"2", 3, changed=True),
        one(30, "get", b"a", None, 3, found=b"2"),
        one(40, "put", b"b", b"3", 4, changed=True),
        one(50, "delete", b"a", None, 5, changed=True),
        one(60, "get", b"a", None, 5),
        one(70, "serializable", b"a", None, 2, found=b"1"),
    ]


def test_a_right_history(history: Any, told: list[Any]) -> None:
    history.check(told, EVENTS)


def test_what_nobody_knows_may_have_happened_later_or_not_at_all(history: Any, told: Any) -> None:
    told[3].returned, told[3].changed = None, False
    history.check(told, EVENTS)
    lost = history.Operation(2, "m0", "put", b"a", b"9", 5)
    history.check([*told, lost], EVENTS)
    late = history.Operation(2, "m0", "put", b"a", b"9", 5)
    history.check([*told, late], {**EVENTS, 6: {b"a": b"9"}})


@pytest.mark.parametrize(
    ("place", "change", "text"),
    [
        (2, {"found": b"1", "revision": 2}, "had been told before"),  # a stale read
        (2, {"found": b"1"}, "the value was"),  # a value that was not there then
        (5, {"found": b"2"}, "the value was"),  # a delete that was not seen
        (6, {"found": b"2"}, "the value was"),  # a local read of a state that never was
        (1, {"revision": 2}, "told twice"),
        (3, {"revision": 7}, "revision 7 is None"),  # an acknowledged write is lost
        (3, {"value": b"4"}, "revision 4 is"),  # another one is there in its place
        (0, {"called": 26, "returned": 29}, "had been told before"),  # done before it was asked
    ],
)
def test_what_is_wrong_is_found(
    history: Any, told: list[Any], place: int, change: dict[str, Any], text: str
) -> None:
    for name, value in change.items():
        setattr(told[place], name, value)
    with pytest.raises(history.Violation, match=text):
        history.check(told, EVENTS)


def test_changes_of_nobody_are_found(history: Any, told: list[Any]) -> None:
    """One that nobody asked for, one that happened twice, and a gap."""
    with pytest.raises(history.Violation, match="asked for revision 6"):
        history.check(told, {**EVENTS, 6: {b"a": b"6"}})
    told[3].returned, told[3].changed = None, False
    with pytest.raises(history.Violation, match="asked for revision 6"):
        history.check(told, {**EVENTS, 6: {b"b": b"3"}})
    with pytest.raises(history.Violation, match="left out"):
        history.check(told, {number: EVENTS[number] for number in (2, 3, 5)})
