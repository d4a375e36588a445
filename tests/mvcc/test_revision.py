from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.errors import CorruptData
from triode.mvcc.revision import bound_after, disk_key, main_key, main_of, packed_from_disk

PACKED = st.builds(
    lambda main, sub, mark: main << 32 | sub << 1 | mark,
    st.one_of(st.integers(1, 50), st.integers(1, 2**63 - 1)),
    st.one_of(st.integers(0, 600), st.integers(0, 2**31 - 1)),
    st.integers(0, 1),
)


@given(PACKED)
def test_disk_keys_are_etcds(packed: int) -> None:
    main, sub = packed >> 32, (packed & 0xFFFFFFFF) >> 1
    expected = main.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big") + b"t" * (packed & 1)
    assert disk_key(packed) == expected
    assert packed_from_disk(expected) == packed
    assert main_of(packed) == main


@given(PACKED, PACKED)
def test_order_in_memory_is_order_on_disk(one: int, other: int) -> None:
    assert (one < other) == (disk_key(one) < disk_key(other))
    assert (one < bound_after(other >> 32)) == (one >> 32 <= other >> 32)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"short",
        main_key(5)[:-1],
        main_key(5) + b"x",
        main_key(5) + b"tt",
        b"12345678-12345678",
        b"\xff" * 8 + b"_" + bytes(8),
        bytes(8) + b"_" + b"\xff" * 8,
    ],
)
def test_other_keys_are_corrupt_data(bad: bytes) -> None:
    with pytest.raises(CorruptData):
        packed_from_disk(bad)
