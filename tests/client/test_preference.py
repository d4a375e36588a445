"""Members without space are asked last, and each of them once."""

from __future__ import annotations

from triode.client.balancer import RoundRobin
from triode.client.retry import Retries
from triode.errors import NoSpace

PUT = "/etcdserverpb.KV/Put"


def members(*names: str) -> RoundRobin[str]:
    made: RoundRobin[str] = RoundRobin()
    for name in names:
        made.add(name)
    return made


def picks(turns: RoundRobin[str], count: int) -> list[str | None]:
    return [turns.pick() for _ in range(count)]


def test_who_is_put_last_has_no_turn() -> None:
    turns = members("a", "b", "c")
    assert turns.put_last("b")
    assert not turns.put_last("b")
    assert "b" in picks(members("a", "b", "c"), 3)
    assert sorted(set(picks(turns, 6))) == ["a", "c"]  # type: ignore[type-var]
    assert len(turns) == 3
    assert "b" in turns
    turns.add("b")  # it is there already
    assert len(turns) == 3
    turns.forgive("b")
    turns.forgive("b")
    assert sorted(set(picks(turns, 6))) == ["a", "b", "c"]  # type: ignore[type-var]


def test_when_all_are_last_they_take_turns() -> None:
    turns = members("a", "b")
    turns.put_last("a")
    turns.put_last("b")
    assert picks(turns, 4) == ["a", "b", "a", "b"]
    turns.remove("a")
    assert picks(turns, 2) == ["b", "b"]
    turns.remove("b")
    assert turns.pick() is None
    assert not turns.put_last("gone")


def test_each_member_is_asked_once() -> None:
    retries = Retries(PUT, 3, lambda: 0.5)
    waits = [retries.wait_seconds(NoSpace(), processed=True) for _ in range(3)]
    assert waits == [0.0, 0.0, None]
    assert Retries(PUT, 1, lambda: 0.5).wait_seconds(NoSpace(), processed=True) is None
