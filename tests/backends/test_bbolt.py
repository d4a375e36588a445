"""Images in bbolt's format: what is written is read back, within bounds, and damage is noticed."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triode.backends.bbolt_file import BboltView
from triode.backends.bbolt_image import ETCD_BUCKETS, SHA256_BYTES, image, snapshot_file
from triode.backends.contract import Row, View
from triode.backends.mirror import ModelView
from triode.errors import CorruptData, StorageError

Data = dict[str, dict[bytes, bytes]]


def write(path: Path, data: Data, required: tuple[str, ...] = ()) -> Path:
    size, chunks = image(ModelView(data), required=required)
    path.write_bytes(b"".join(chunks))
    assert path.stat().st_size == size
    return path


def content(view: View) -> Data:
    return {name: dict(view.scan(name)) for name in view.buckets()}


def tree_pages(path: Path) -> Iterator[tuple[int, int, int, int]]:
    """(number, flags, count, overflow) of every page but the metas, in file order."""
    data = path.read_bytes()
    at = 2 * 4096
    while at < len(data):
        page = struct.unpack_from("<QHHI", data, at)
        assert page[0] * 4096 == at
        yield page
        at += (page[3] + 1) * 4096


MANY: Data = {
    "key": {n.to_bytes(8, "big") + b"_" + bytes(8): b"%d" % n * (n % 50) for n in range(15_000)},
    "lease": {},
    "meta": {b"a" * 3000: b"", b"b" * 32768: b"x", b"c": bytes(5000)},
    "authUsers": {b"%d" % n: bytes(n * 911 % 5000) for n in range(300)},
    "cluster": {b"large": bytes(range(256)) * 8000},
}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    with BboltView(write(tmp_path / "db", MANY)) as view:
        assert content(view) == MANY
        for n in (0, 1, 7_499, 14_999):
            key = n.to_bytes(8, "big") + b"_" + bytes(8)
            assert view.get("key", key) == MANY["key"][key]
            assert view.range("key", key, None, 1) == [(key, MANY["key"][key])]
        assert view.get("key", b"\0") is None
        assert view.get("key", b"\xff") is None
        assert view.range("nothing", b"", None) == []
        low, high = (n.to_bytes(8, "big") for n in (777, 11_000))
        assert [k for k, _ in view.range("key", low, high)] == sorted(
            k for k in MANY["key"] if low <= k < high
        )


def test_every_page_is_where_it_says_and_no_branch_has_an_only_child(tmp_path: Path) -> None:
    rows = {b"%06d" % n * 60: b"" for n in range(3000)}
    for count in [*range(90), 2999, 3000]:
        path = write(tmp_path / "db", {"key": dict(list(rows.items())[:count])})
        with BboltView(path) as view:
            assert len(view.range("key", b"", None)) == count
        for _, flags, children, _ in tree_pages(path):
            assert flags in (0x01, 0x02, 0x10)
            assert flags != 0x01 or children >= 2


def test_the_required_buckets_are_there(tmp_path: Path) -> None:
    path = write(tmp_path / "db", {"key": {b"a": b"1"}, "mine": {}}, ETCD_BUCKETS)
    with BboltView(path) as view:
        assert view.buckets() == sorted({*ETCD_BUCKETS, "mine"})
        assert view.range("auth", b"", None) == []


@given(
    st.dictionaries(
        st.sampled_from(["key", "meta", "auth", "members_removed"]),
        st.dictionaries(st.binary(min_size=1, max_size=900), st.binary(max_size=3000), max_size=40),
    )
)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_content_is_read_back(tmp_path: Path, data: Data) -> None:
    with BboltView(write(tmp_path / "db", data)) as view:
        assert content(view) == data


class Lazy(ModelView):
    """Rows that are made as they are asked for."""

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        return ((n.to_bytes(8, "big"), bytes(3000)) for n in range(8000))


def test_an_image_is_streamed_in_bounded_memory() -> None:
    tracemalloc.start()
    try:
        size, chunks = image(Lazy({"key": {}}), required=())
        assert size > 30_000_000
        assert sum(map(len, chunks)) == size
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_snapshot_file_ends_with_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    size, chunks = snapshot_file(ModelView(MANY))
    path.write_bytes(b"".join(chunks))
    assert path.stat().st_size == size
    assert size % 512 == SHA256_BYTES
    with BboltView(path) as view:  # a digest at the end is not in the way
        assert view.get("meta", b"c") == bytes(5000)


def test_the_newer_meta_page_counts_and_a_torn_one_does_not(tmp_path: Path) -> None:
    path = write(tmp_path / "db", {"key": {b"a": b"1"}})
    whole = path.read_bytes()
    for torn in (0, 4096):
        path.write_bytes(whole[: torn + 20] + b"\xee" * 8 + whole[torn + 28 :])
        with BboltView(path) as view:
            assert view.get("key", b"a") == b"1"
    path.write_bytes(whole[:20] + b"\xee" + whole[21 : 4096 + 20] + b"\xee" + whole[4096 + 21 :])
    with pytest.raises(CorruptData, match="no valid meta"):
        BboltView(path)


@pytest.mark.parametrize("bad", [b"x" * 20_000, b"x", bytes(40_000)])
def test_what_is_no_bbolt_file_is_corrupt(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "db").write_bytes(bad)
    with pytest.raises(CorruptData, match=str(tmp_path / "db")):
        BboltView(tmp_path / "db")


def test_missing_empty_and_cut_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        BboltView(tmp_path / "missing")
    (tmp_path / "empty").touch()
    with pytest.raises(StorageError, match="empty"):
        BboltView(tmp_path / "empty")
    path = write(tmp_path / "db", MANY)
    path.write_bytes(path.read_bytes()[:-4096])
    with pytest.raises(CorruptData, match="cut short"):
        BboltView(path)


@given(st.data())
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_pages_are_noticed_or_read_but_never_crash(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "db"
    if not path.exists():
        write(path, {"key": {b"%05d" % n: b"v" * (n % 70) for n in range(2000)}, "meta": {}})
        (tmp_path / "whole").write_bytes(path.read_bytes())
    damaged = bytearray((tmp_path / "whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        # In a page's head, where numbers lead elsewhere.
        page = data.draw(st.integers(3, len(damaged) // 4096 - 1))
        at = page * 4096 + data.draw(st.integers(0, 80))
        damaged[at] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        with BboltView(path) as view:
            content(view)
    except CorruptData:
        pass
