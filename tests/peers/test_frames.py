"""The sans-IO parts: frames, chunks and heads; whole, cut anywhere, too long, and wrong."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.rpc.peer_chunks import ChunkError, Unchunker, chunk
from triode.rpc.peer_frames import (
    LINK_HEARTBEAT,
    AppendFrame,
    AppendFrames,
    FrameError,
    LengthFrames,
    SnapshotHead,
    append_frame,
    append_frame_entries,
    full_frame,
    length_frame,
)

blobs = st.binary(max_size=40) | st.builds(bytes, st.integers(4090, 4100))
entry_lists = st.lists(blobs, max_size=6)
append_frames = st.builds(AppendFrame, entry_lists, st.integers(0, (1 << 64) - 1))
cuts = st.lists(st.integers(1, 50), max_size=200)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    out = []
    for size in sizes:
        out.append(data[:size])
        data = data[size:]
    return [*out, data]


def encode(frame: AppendFrame | bytes | None) -> bytes:
    if frame is None:
        return LINK_HEARTBEAT
    if isinstance(frame, AppendFrame):
        return append_frame(append_frame_entries(frame.entries), frame.commit)
    return full_frame(frame)


def feed_all(decoder: AppendFrames | Unchunker, data: list[bytes]) -> None:
    for piece in data:
        decoder.feed(piece)


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


@given(st.lists(blobs, max_size=8), cuts)
def test_messages_come_out_as_they_went_in(messages: list[bytes], sizes: list[int]) -> None:
    decoder = LengthFrames()
    data = b"".join(map(length_frame, messages))
    found = [frame for piece in pieces(data, sizes) for frame in decoder.feed(piece)]
    assert found == messages
    assert decoder.pending_bytes == 0


@given(st.lists(append_frames | blobs | st.none(), max_size=8), cuts)
def test_append_frames_come_out_as_they_went_in(frames: list[object], sizes: list[int]) -> None:
    decoder = AppendFrames()
    data = b"".join(map(encode, frames))  # type: ignore[arg-type]
    found = [frame for piece in pieces(data, sizes) for frame in decoder.feed(piece)]
    assert found == frames


@given(st.lists(append_frames | blobs | st.none(), min_size=1, max_size=3), st.data())
def test_a_frame_that_is_cut_is_not_there(frames: list[object], data: st.DataObject) -> None:
    encoded = [encode(frame) for frame in frames]  # type: ignore[arg-type]
    whole = b"".join(encoded)
    at = data.draw(st.integers(len(whole) - len(encoded[-1]), len(whole) - 1))
    assert AppendFrames().feed(whole[:at]) == frames[:-1]


def test_the_bytes_are_those_of_etcd() -> None:
    """The layout that its documentation comments draw."""
    assert length_frame(b"abc") == u64(3) + b"abc"
    assert full_frame(b"abc") == b"\2" + u64(3) + b"abc"
    frame = append_frame(append_frame_entries([b"x", b"yz"]), 7)
    assert frame == b"\1" + u64(2) + u64(1) + b"x" + u64(2) + b"yz" + u64(7)
    assert LINK_HEARTBEAT == b"\0"


@pytest.mark.parametrize(
    "data",
    [
        b"\3",
        b"\xff",
        b"\2" + u64(101),
        b"\2" + u64((1 << 64) - 1),
        b"\1" + u64(13),  # 104 bytes of lengths alone
        b"\1" + u64((1 << 64) - 1),
        b"\1" + u64(1) + u64(101),
        b"\1" + u64(2) + u64(60) + bytes(60) + u64(41),
        b"\1" + u64(2) + u64(60) + bytes(60) + u64(41) + bytes(41),
    ],
)
def test_frames_that_are_too_long_or_unknown_are_refused(data: bytes) -> None:
    """Before their bytes are there."""
    for sizes in ([], [1] * len(data)):
        with pytest.raises(FrameError):
            feed_all(AppendFrames(bytes_max=100), pieces(data, sizes))


def test_messages_that_are_too_long_are_refused() -> None:
    decoder = LengthFrames(bytes_max=100)
    assert decoder.feed(length_frame(bytes(100))) == [bytes(100)]
    with pytest.raises(FrameError):
        decoder.feed(u64(101))


@given(st.binary(max_size=300))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    for decoder in (AppendFrames(1000), LengthFrames(1000), Unchunker()):
        with suppress(FrameError, ChunkError):
            decoder.feed(data)


def test_the_work_is_linear_in_the_bytes() -> None:
    """A long frame that comes in small pieces is put together once."""
    decoder = AppendFrames()
    frame = full_frame(bytes(8 << 20))
    found = []
    for at in range(0, len(frame), 512):
        found += decoder.feed(frame[at : at + 512])
    assert [len(f) for f in found] == [8 << 20]  # type: ignore[arg-type]


# --- chunks -----------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), cuts)
def test_a_chunked_body_comes_out_as_it_went_in(bodies: list[bytes], sizes: list[int]) -> None:
    decoder = Unchunker()
    data = b"".join([chunk([body]) for body in bodies])
    assert b"".join([decoder.feed(piece) for piece in pieces(data, sizes)]) == b"".join(bodies)
    assert not decoder.ended
    assert decoder.feed(b"0\r\n\r\n") == b""
    assert decoder.ended


def test_extensions_and_trailers_are_skipped() -> None:
    decoder = Unchunker()
    assert decoder.feed(b"3;name=value\r\nabc\r\n0\r\nTrailer: x\r\n\r\n") == b"abc"
    assert decoder.ended


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"1_0\r\n",
        b"0x1\r\n",
        b"1" * 16 + b"\r\n",
        b"3\r\nabcd",
        b"1" * 2000,
    ],
)
def test_what_is_not_chunked_is_refused(data: bytes) -> None:
    for sizes in ([], [1] * len(data)):
        with pytest.raises(ChunkError):
            feed_all(Unchunker(), pieces(data, sizes))


# --- the head of a snapshot -------------------------------------------------------------------------


@given(st.binary(max_size=100), st.binary(max_size=100), cuts)
def test_the_head_of_a_snapshot_ends_where_its_data_begins(
    message: bytes, image: bytes, sizes: list[int]
) -> None:
    head = SnapshotHead()
    rest = b""
    found = None
    for piece in pieces(length_frame(message) + image, sizes):
        if found is not None:
            rest += piece
        else:
            found = head.feed(piece)
            rest = head.rest
    assert found == message
    assert rest == image


def test_an_oversized_head_is_refused_at_its_length() -> None:
    with pytest.raises(FrameError, match="limit exceeded"):
        SnapshotHead().feed(u64((64 << 20) + 1))
    assert SnapshotHead().feed(u64(64 << 20)) is None
