"""Raft messages on the streams: what goes in comes out, whatever the cuts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.actors.peers.codec import (
    AppendDecoder,
    AppendEncoder,
    EntriesMemo,
    MessageDecoder,
    MessageEncoder,
)
from triode.raft.codec import decode_message, encode_entry, encode_message
from triode.raft.types import Entry, EntryType, Message, MessageType
from triode.rpc.peer_frames import append_frame, append_frame_entries, full_frame, length_frame

APP = MessageType.APP
numbers = st.integers(0, (1 << 64) - 1)
kinds = st.sampled_from(EntryType)
batches = st.lists(
    st.tuples(st.lists(st.tuples(kinds, st.binary(max_size=30)), max_size=5), st.integers(0, 5)),
    max_size=8,
)


def appends(batch: list[Any], first: int) -> list[Message]:
    """Appends of one leader, with new terms in between."""
    messages, index, term = [], first, 3
    for data, jump in batch:
        before = term
        if jump == 5:
            term += 1
        entries = tuple(Entry(term, index + n + 1, *one) for n, one in enumerate(data))
        messages.append(Message(APP, 2, 1, term, before, index, entries, commit=index))
        index += len(data)
        if jump == 4:  # one that starts over
            index = max(first, index - 3)
    return messages


@given(batches, st.integers(0, 1 << 40), st.lists(st.integers(1, 40), max_size=50))
def test_appends_come_out_as_they_went_in(batch: list[Any], first: int, sizes: list[int]) -> None:
    sent = appends(batch, first)
    encoder, decoder = AppendEncoder(EntriesMemo()), AppendDecoder(local=2, remote=1)
    data = b"".join([encoder.encode(m) for m in sent]) + encoder.heartbeat
    found = []
    for size in sizes:
        found += decoder.feed(data[:size])
        data = data[size:]
    found += decoder.feed(data)
    for m in found:
        m.entries = tuple(m.entries)
    assert found == sent


messages = st.builds(
    Message,
    st.sampled_from(MessageType),
    st.just(2) | numbers,  # those of the stream, or others
    st.just(1) | numbers,
    *[numbers] * 3,
    entries=st.just(()) | st.just((Entry(1, 2, data=b"x"),)),
    commit=numbers,
    vote=numbers,
    reject=st.booleans(),
    reject_hint=numbers,
    context=st.just(b"") | st.binary(max_size=5),
)


@given(st.lists(messages, max_size=5))
def test_other_messages_come_out_as_they_went_in(sent: list[Message]) -> None:
    encoder, decoder = MessageEncoder(), MessageDecoder(2, 1)
    data = b"".join([encoder.encode(m) + encoder.heartbeat for m in sent])
    expected = [m for m in sent if m.type is not MessageType.HEARTBEAT or m.from_ or m.to]
    found = decoder.feed(data)
    assert found == expected
    assert all(m.type.__class__ is MessageType for m in found)


@given(messages, st.integers(0, 60))
def test_what_is_cut_short_is_read_as_the_codec_does(message: Message, at: int) -> None:
    """The short way for plain messages takes nothing that the codec refuses, and the reverse."""
    data = encode_message(message)[:at]
    try:
        expected = decode_message(data)
    except ValueError:
        with pytest.raises(ValueError):
            MessageDecoder(2, 1).feed(length_frame(data))
    else:
        if expected.type is not MessageType.HEARTBEAT or expected.from_ or expected.to:
            assert MessageDecoder(2, 1).feed(length_frame(data)) == [expected]


def test_an_append_that_continues_is_sent_without_its_head() -> None:
    """As etcd's msgappv2 encoder does, also when there are no entries."""
    encoder = AppendEncoder(EntriesMemo())
    one, two = Entry(3, 11, data=b"a"), Entry(3, 12, data=b"b")
    first = Message(APP, 2, 1, 3, 3, 10, (one,), commit=10)
    assert encoder.encode(first) == full_frame(encode_message(first))
    for message, entries in (
        (Message(APP, 2, 1, 3, 3, 11, (two,), commit=11), [encode_entry(two)]),
        (Message(APP, 2, 1, 3, 3, 12, (), commit=12), []),
    ):
        frame = append_frame(append_frame_entries(entries), message.commit)
        assert encoder.encode(message) == frame
    again = Message(APP, 2, 1, 3, 3, 11, (two,), commit=11)
    assert encoder.encode(again) == full_frame(encode_message(again))
    new_term = Message(APP, 2, 1, 4, 3, 12, (), commit=12)
    assert encoder.encode(new_term) == full_frame(encode_message(new_term))


def test_the_memo_tells_entries_apart() -> None:
    """Others of the same number, and the same ones again."""
    memo = EntriesMemo()
    a = [Entry(3, n, data=b"a") for n in range(5)]
    b = [Entry(3, n, data=b"b") for n in range(5)]
    replaced = [*a[:4], Entry(4, 4, data=b"other")]
    for entries in (a, list(a), b, a[:4], a[1:], [], a, replaced, a):
        encoded = append_frame_entries([encode_entry(e) for e in entries])
        assert memo.frame(entries) == encoded
    assert memo.frame(tuple(a)) is memo.frame(a)


@pytest.mark.parametrize("index", [11, 13])
def test_entries_that_do_not_follow_end_the_stream(index: int) -> None:
    decoder = AppendDecoder(local=2, remote=1)
    before = Message(APP, 2, 1, 3, 3, 10, (Entry(3, 11, data=b"a"),))
    decoder.feed(full_frame(encode_message(before)))
    entries = append_frame_entries([encode_entry(Entry(3, index))])
    with pytest.raises(ValueError, match="other entries"):
        decoder.feed(append_frame(entries, 1))


def test_an_append_that_continues_nothing_ends_the_stream() -> None:
    with pytest.raises(ValueError, match="continues nothing"):
        AppendDecoder(local=2, remote=1).feed(append_frame(append_frame_entries([]), 1))


@given(st.binary(max_size=60))
def test_garbage_is_a_value_error(data: bytes) -> None:
    for appends_in, message_in in ((full_frame(data), length_frame(data)), (data, data)):
        with suppress(ValueError):
            AppendDecoder(2, 1).feed(appends_in)
        with suppress(ValueError):
            MessageDecoder(2, 1).feed(message_in)
