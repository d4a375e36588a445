"""The bytes of raftpb, against a protobuf library that is told to write every field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.protowire import bytes_field
from triode.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
    codec,
)
from triode.rpc.pb import raft_pb2 as pb

NUMBER = st.integers(0, 2**64 - 1) | st.integers(0, 300)
IDS = st.lists(NUMBER, max_size=3).map(tuple)
DATA = st.binary(max_size=300)
ENTRY = st.builds(Entry, NUMBER, NUMBER, st.sampled_from(EntryType), DATA)
HARD_STATE = st.builds(HardState, NUMBER, NUMBER, NUMBER)
CONF_STATE = st.builds(ConfState, IDS, IDS, IDS, IDS, st.booleans())
SNAPSHOT = st.builds(Snapshot, DATA, st.builds(SnapshotMetadata, CONF_STATE, NUMBER, NUMBER))
CONF_CHANGE = st.builds(ConfChange, st.sampled_from(ConfChangeType), NUMBER, DATA, NUMBER)
SINGLE = st.builds(ConfChangeSingle, st.sampled_from(ConfChangeType), NUMBER)
CONF_CHANGE_V2 = st.builds(
    ConfChangeV2,
    st.sampled_from(ConfChangeTransition),
    st.lists(SINGLE, max_size=3).map(tuple),
    DATA,
)


def messages(responses: st.SearchStrategy[tuple[Message, ...]]) -> st.SearchStrategy[Message]:
    return st.builds(
        Message,
        type=st.sampled_from(MessageType),
        to=NUMBER,
        from_=NUMBER,
        term=NUMBER,
        log_term=NUMBER,
        index=NUMBER,
        entries=st.lists(ENTRY, max_size=3).map(tuple),
        commit=NUMBER,
        vote=NUMBER,
        snapshot=st.none() | SNAPSHOT.filter(lambda s: not s.empty),
        reject=st.booleans(),
        reject_hint=NUMBER,
        context=DATA,
        responses=responses,
    )


MESSAGE = messages(st.lists(messages(st.just(())), max_size=1).map(tuple))


def absent_if_empty(data: bytes) -> bytes | None:
    return data or None


def pb_entry(e: Entry) -> pb.Entry:
    return pb.Entry(Type=int(e.type), Term=e.term, Index=e.index, Data=absent_if_empty(e.data))


def pb_conf_state(s: ConfState) -> pb.ConfState:
    return pb.ConfState(
        voters=s.voters,
        learners=s.learners,
        voters_outgoing=s.voters_outgoing,
        learners_next=s.learners_next,
        auto_leave=s.auto_leave,
    )


def pb_snapshot(s: Snapshot) -> pb.Snapshot:
    meta = s.metadata
    return pb.Snapshot(
        data=absent_if_empty(s.data),
        metadata=pb.SnapshotMetadata(
            conf_state=pb_conf_state(meta.conf_state), index=meta.index, term=meta.term
        ),
    )


def pb_message(m: Message) -> pb.Message:
    out = pb.Message(
        type=int(m.type),
        to=m.to,
        term=m.term,
        logTerm=m.log_term,
        index=m.index,
        entries=[pb_entry(e) for e in m.entries],
        commit=m.commit,
        snapshot=None if m.snapshot is None else pb_snapshot(m.snapshot),
        reject=m.reject,
        rejectHint=m.reject_hint,
        context=absent_if_empty(m.context),
        vote=m.vote,
        responses=[pb_message(response) for response in m.responses],
    )
    setattr(out, "from", m.from_)
    return out


def pb_conf_change(c: ConfChange) -> pb.ConfChange:
    return pb.ConfChange(
        id=c.id, type=int(c.type), node_id=c.node_id, context=absent_if_empty(c.context)
    )


def pb_conf_change_v2(c: ConfChangeV2) -> pb.ConfChangeV2:
    return pb.ConfChangeV2(
        transition=int(c.transition),
        changes=[
            pb.ConfChangeSingle(type=int(step.type), node_id=step.node_id) for step in c.changes
        ],
        context=absent_if_empty(c.context),
    )


def pb_hard_state(s: HardState) -> pb.HardState:
    return pb.HardState(term=s.term, vote=s.vote, commit=s.commit)


RECORDS = {
    "entry": (ENTRY, pb_entry, codec.encode_entry, codec.decode_entry),
    "hard_state": (HARD_STATE, pb_hard_state, codec.encode_hard_state, codec.decode_hard_state),
    "conf_state": (CONF_STATE, pb_conf_state, codec.encode_conf_state, codec.decode_conf_state),
    "snapshot": (SNAPSHOT, pb_snapshot, codec.encode_snapshot, codec.decode_snapshot),
    "message": (MESSAGE, pb_message, codec.encode_message, codec.decode_message),
    "conf_change": (
        CONF_CHANGE,
        pb_conf_change,
        codec.encode_conf_change,
        codec.decode_conf_change,
    ),
    "conf_change_v2": (
        CONF_CHANGE_V2,
        pb_conf_change_v2,
        codec.encode_conf_change_v2,
        codec.decode_conf_change_v2,
    ),
}


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=60)
@given(data=st.data())
def test_bytes_equal_those_of_a_protobuf_library(kind: str, data: st.DataObject) -> None:
    strategy: Any
    to_pb: Any
    encode: Any
    decode: Any
    strategy, to_pb, encode, decode = RECORDS[kind]
    record = data.draw(strategy)
    raw = to_pb(record).SerializeToString()
    assert encode(record) == raw
    assert decode(raw) == record


def test_zero_numbers_are_written_and_absent_bytes_are_not() -> None:
    """As in a fresh etcd's log: its first record of each kind."""
    assert codec.encode_entry(Entry()) == bytes.fromhex("0800 1000 1800")
    assert codec.encode_hard_state(HardState()) == bytes.fromhex("0800 1000 1800")
    assert codec.encode_conf_state(ConfState()) == bytes.fromhex("2800")
    assert codec.encode_snapshot(Snapshot()) == bytes.fromhex("1208 0a022800 1000 1800")
    heartbeat = codec.encode_message(Message(MessageType.HEARTBEAT, to=2, from_=1, term=3))
    assert heartbeat == bytes.fromhex("0808 1002 1801 2003 2800 3000 4000 5000 5800 6800")


@given(st.lists(ENTRY, max_size=20))
def test_many_entries_encode_as_each_alone(entries: list[Entry]) -> None:
    assert codec.encode_entries(entries) == [codec.encode_entry(entry) for entry in entries]
    assert list(map(codec.entry_size, entries)) == list(map(len, codec.encode_entries(entries)))


def test_unknown_fields_are_ignored_in_any_place() -> None:
    raw = codec.encode_entry(Entry(3, 7, EntryType.NORMAL, b"x"))
    assert codec.decode_entry(b"\x7a\x01?" + raw + b"\x78\x05") == Entry(
        3, 7, EntryType.NORMAL, b"x"
    )


def test_lists_of_ids_may_come_packed() -> None:
    assert codec.decode_conf_state(b"\x0a\x03\x01\x02\x03") == ConfState(voters=(1, 2, 3))


def test_an_empty_snapshot_of_an_older_member_is_none() -> None:
    raw = codec.encode_message(Message(MessageType.APP, to=1, snapshot=Snapshot()))
    assert codec.decode_message(raw).snapshot is None


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=60)
@given(raw=st.binary(max_size=40))
def test_bytes_that_are_no_message_raise_value_error(kind: str, raw: bytes) -> None:
    decode: Any = RECORDS[kind][3]
    try:
        decode(raw)
    except ValueError:
        return


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_cut_entry_is_refused_or_shorter(cut: int) -> None:
    whole = codec.encode_entry(Entry(300, 70_000, EntryType.NORMAL, b"data"))
    try:
        short = codec.decode_entry(whole[:-cut])
    except ValueError:
        return
    assert short.data == b""


# --- Runs of entries in a message: what is foretold must be what is there -------------------------


@st.composite
def _runs(draw: st.DrawFn) -> tuple[Entry, ...]:
    """Runs of consecutive entries, around the places where their numbers get longer."""
    entries: list[Entry] = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.sampled_from([0, 1, 126, 16_382, 32_766, 2**21 - 2, 2**28 - 2, 2**63]))
        term = draw(st.sampled_from([0, 1, 127, 128, 2**40]))
        kind = draw(st.sampled_from(EntryType))
        sizes = st.sampled_from([0, 1, 100, 119, 120, 127, 128, 300, 2047, 2048, 16_383, 16_384])
        for place, size in enumerate(draw(st.lists(sizes, max_size=5))):
            entries.append(Entry(term, start + place, kind, b"d" * size))
    return tuple(entries)


@given(_runs())
def test_runs_of_entries_are_encoded_and_decoded_as_each_alone(entries: tuple[Entry, ...]) -> None:
    message = Message(MessageType.APP, to=1, from_=2, term=3, entries=entries, context=b"c")
    raw = codec.encode_message(message)
    alone = b"".join(bytes_field(7, codec.encode_entry(entry)) for entry in entries)
    assert raw == codec.encode_message(Message(MessageType.APP, to=1, from_=2, term=3)).replace(
        b"\x30\x00\x40\x00", b"\x30\x00" + alone + b"\x40\x00"
    ).replace(b"\x68\x00", b"\x62\x01c\x68\x00")
    read = codec.decode_message(raw)
    assert read == message
    assert all(type(entry.type) is EntryType for entry in read.entries)


def test_an_entry_that_only_begins_like_the_next_of_a_run_is_read_by_itself() -> None:
    first = codec.encode_entry(Entry(3, 20_000, EntryType.NORMAL, b"x"))
    second = codec.encode_entry(Entry(3, 20_001, EntryType.NORMAL, b"y"))
    strange = second + b"\x10\x09"  # the term again: the last one holds
    raw = b"\x08\x03" + b"".join(bytes_field(7, entry) for entry in (first, strange, second))
    assert codec.decode_message(raw).entries == (
        Entry(3, 20_000, EntryType.NORMAL, b"x"),
        Entry(9, 20_001, EntryType.NORMAL, b"y"),
        Entry(3, 20_001, EntryType.NORMAL, b"y"),
    )


def test_a_message_that_is_cut_anywhere_is_refused_or_shorter() -> None:
    entries = tuple(Entry(3, 20_000 + n, EntryType.NORMAL, b"z" * 150) for n in range(3))
    whole = Message(MessageType.APP, to=1, from_=2, term=300, entries=entries, context=b"context")
    raw = codec.encode_message(whole)
    for cut in range(len(raw)):
        try:
            read = codec.decode_message(raw[:cut])
        except ValueError:
            continue
        assert read.entries == entries[: len(read.entries)]


@pytest.mark.parametrize("raw", [b"\x08\x03\x38\x00", b"\x08\x03\x48\x00", b"\x08\x03\x60\x00"])
def test_numbers_where_bytes_belong_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="wire type"):
        codec.decode_message(raw)


def test_a_message_of_an_unknown_type_is_refused() -> None:
    for raw in (b"\x08\x63", b"\x10\x01"):
        with pytest.raises(ValueError, match="type"):
            codec.decode_message(raw)
