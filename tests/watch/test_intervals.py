"""The interval index against a list that is searched from end to end."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from triode.mvcc.intervals import IntervalIndex

KEYS = st.binary(min_size=1, max_size=2).map(lambda key: bytes(byte & 15 for byte in key))


@st.composite
def intervals(draw: Any) -> Any:
    start, end = draw(KEYS), draw(KEYS | st.just(b""))
    if end and end <= start:
        start, end = end, start
    return (start, b"" if start == end else end)


def _holding(model: Any, point: Any) -> Any:
    return sorted(i for i in model if i[0] <= point and (not i[1] or point < i[1]))


@given(st.lists(intervals(), max_size=200), st.lists(KEYS, min_size=1), st.randoms())
@settings(max_examples=200)
def test_it_finds_what_a_list_finds(operations: Any, points: Any, random: Any) -> None:
    """An interval that is there is removed, any other is added; points are asked in between."""
    index: IntervalIndex[tuple[bytes, bytes]] = IntervalIndex()
    model: set[tuple[bytes, bytes]] = set()
    for interval in operations:
        if interval in model:
            index.remove(*interval)
            model.remove(interval)
        else:
            start, end = interval
            index.add(start, end, interval)
            model.add(interval)
        if random.random() < 0.2:
            point = random.choice(points)
            assert sorted(index.stab(point)) == _holding(model, point)
    assert len(index) == len(model)
    for point in points:
        assert sorted(index.stab(point)) == _holding(model, point)
    for interval in sorted(model):
        index.remove(*interval)
    assert all(index.stab(point) == [] for point in points)


def test_thousands_come_and_go() -> None:
    index: IntervalIndex[int] = IntervalIndex()
    spans = [(b"%05d" % at, b"%05d" % (at + at % 97 + 1)) for at in range(3000)]
    for at, span in enumerate(spans):
        index.add(*span, at)
        if at % 10 == 0:
            assert at in index.stab(span[0])
    for point in (b"00000", b"01234", b"01234x", b"02999", b"03200"):
        expected = [at for at, (start, end) in enumerate(spans) if start <= point < end]
        assert sorted(index.stab(point)) == expected
    for span in spans[:-1]:
        index.remove(*span)
    assert len(index) == 1
    assert index.stab(b"01234") == []
    assert index.stab(spans[-1][0]) == [2999]
    for at, span in enumerate(spans[:-1]):
        index.add(*span, at)
    assert len(index.stab(b"01500")) == sum(s <= b"01500" < e for s, e in spans)
