"""The bytes of raftpb: what etcd's write-ahead log, snapshot files and peers hold.

The reference is the code that gogo-proto generates for etcd 3.6's raftpb (raft v3.6.0,
raft.pb.go). The schema is proto2 with fields that are not nullable, and such code differs from
what other protobuf libraries write: *every* number, enum and bool is written, also when it is
zero, in the order of the field numbers; byte strings are written unless they are absent; embedded
messages are written always, but for `Message.snapshot`, which may be absent. The log's rolling
CRC covers these bytes, so they are reproduced exactly.

Decoders take any field order and ignore fields that they do not know. They raise ValueError for
bytes that are not such a message; the caller knows whether that is a corrupt file or a bad peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..protowire import LENGTH, LOW_14, VARINT, bytes_field, fields, uvarint, varint
from .entry_runs import ENTRY_TAG, decode_run, encode_run
from .types import (
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
)

__all__ = [
    "encode_entry",
    "encode_entries",
    "entry_size",
    "decode_entry",
    "encode_hard_state",
    "decode_hard_state",
    "encode_conf_state",
    "decode_conf_state",
    "encode_snapshot",
    "decode_snapshot",
    "encode_message",
    "decode_message",
    "encode_conf_change",
    "decode_conf_change",
    "encode_conf_change_v2",
    "decode_conf_change_v2",
]

_R = TypeVar("_R")
_ENTRY_TYPES = tuple(EntryType)
_MESSAGE_TYPES = tuple(MessageType)


def encode_entry(entry: Entry) -> bytes:
    """raftpb.Entry{Type(1), Term(2), Index(3), Data(4)}."""
    return encode_entries((entry,))[0]


def encode_entries(entries: Iterable[Entry]) -> list[bytes]:
    """Encode many entries, each by itself: the write-ahead log's hot path.

    Runs of entries share their type, their term and all but the low 14 bits of their index, so
    those parts are made once per run.
    """
    out: list[bytes] = []
    append = out.append
    last_term = last_kind = last_high = -1
    head = high_bytes = b""
    low = LOW_14
    for term, index, kind, data in entries:
        if term != last_term or kind != last_kind:
            head = b"\x08%b\x10%b\x18" % (varint(kind), varint(term))
            last_term, last_kind = term, kind
        high = index >> 14
        if high == 0:
            number = varint(index)
        else:
            if high != last_high:
                high_bytes = varint(high)
                last_high = high
            number = low[index & 16383] + high_bytes
        if data:
            append(b"%b%b\x22%b%b" % (head, number, varint(len(data)), data))
        else:
            append(head + number)
    return out


def _varint_bytes(n: int) -> int:
    return (n.bit_length() + 6) // 7 or 1


def entry_size(entry: Entry) -> int:
    """The length of an encoded entry in bytes, without encoding it."""
    term, index, kind, data = entry
    size = 3 + _varint_bytes(kind) + _varint_bytes(term) + _varint_bytes(index)
    if data:
        size += 1 + _varint_bytes(len(data)) + len(data)
    return size


def decode_entry(data: bytes) -> Entry:
    """Read a raftpb.Entry; raises ValueError."""
    at, end = 0, len(data)
    term = index = kind = 0
    body = b""
    while at < end:
        tag = data[at]
        at += 1
        if tag == 0x08:
            kind, at = uvarint(data, at)
        elif tag == 0x10:
            term, at = uvarint(data, at)
        elif tag == 0x18:
            index, at = uvarint(data, at)
        elif tag == 0x22:
            length, at = uvarint(data, at)
            stop = at + length
            if stop > end:
                raise ValueError("field is cut")
            body = data[at:stop]
            at = stop
        else:
            return _decode_entry_slowly(data)
    if kind >= len(_ENTRY_TYPES):
        raise ValueError(f"entry type {kind}")
    return Entry(term, index, _ENTRY_TYPES[kind], body)


def _decode_entry_slowly(data: bytes) -> Entry:
    """An entry with fields that we do not know."""
    found = _collect(data, _ENTRY)
    return Entry(**found)


def encode_hard_state(state: HardState) -> bytes:
    """raftpb.HardState{term(1), vote(2), commit(3)}."""
    term, vote, commit = state
    return b"\x08%b\x10%b\x18%b" % (varint(term), varint(vote), varint(commit))


def encode_conf_state(state: ConfState) -> bytes:
    """raftpb.ConfState: four unpacked lists, then auto_leave(5)."""
    out = bytearray()
    for tag, ids in (
        (b"\x08", state.voters),
        (b"\x10", state.learners),
        (b"\x18", state.voters_outgoing),
        (b"\x20", state.learners_next),
    ):
        for node in ids:
            out += tag
            out += varint(node)
    out += b"\x28\x01" if state.auto_leave else b"\x28\x00"
    return bytes(out)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """raftpb.Snapshot{data(1), metadata(2){conf_state(1), index(2), term(3)}}."""
    meta = snapshot.metadata
    head = bytes_field(1, snapshot.data) if snapshot.data else b""
    return head + bytes_field(
        2,
        b"%b\x10%b\x18%b"
        % (
            bytes_field(1, encode_conf_state(meta.conf_state)),
            varint(meta.index),
            varint(meta.term),
        ),
    )


def encode_message(m: Message) -> bytes:
    """raftpb.Message, as it is sent to peers."""
    snapshot = b"" if m.snapshot is None else bytes_field(9, encode_snapshot(m.snapshot))
    out = b"\x08%b\x10%b\x18%b\x20%b\x28%b\x30%b%b\x40%b%b%b%b%b\x68%b" % (
        varint(m.type),
        varint(m.to),
        varint(m.from_),
        varint(m.term),
        varint(m.log_term),
        varint(m.index),
        encode_run(m.entries) if m.entries else b"",
        varint(m.commit),
        snapshot,
        b"\x50\x01\x58" if m.reject else b"\x50\x00\x58",
        varint(m.reject_hint),
        bytes_field(12, m.context) if m.context else b"",
        varint(m.vote),
    )
    if m.responses:
        out += b"".join(bytes_field(14, encode_message(response)) for response in m.responses)
    return out


def encode_conf_change(change: ConfChange) -> bytes:
    """raftpb.ConfChange{ID(1), type(2), node_id(3), context(4)}."""
    head = b"\x08%b\x10%b\x18%b" % (varint(change.id), varint(change.type), varint(change.node_id))
    return head + bytes_field(4, change.context) if change.context else head


def encode_conf_change_v2(change: ConfChangeV2) -> bytes:
    """raftpb.ConfChangeV2{transition(1), changes(2){type(1), node_id(2)}, context(3)}."""
    out = b"\x08" + varint(change.transition)
    for single in change.changes:
        out += bytes_field(2, b"\x08%b\x10%b" % (varint(single.type), varint(single.node_id)))
    return out + bytes_field(3, change.context) if change.context else out


# --- Decoding: a table per message, from field number to (attribute, wire type, reader) -----------
# A reader of None takes the number or the bytes as they are. A name that ends in * repeats.

_Table = Mapping[int, tuple[str, int, Callable[[Any], Any] | None]]


def _collect(data: bytes, table: _Table) -> dict[str, Any]:
    """Read the fields of one message by its table; a later value of the same field wins."""
    found: dict[str, Any] = {}
    for number, value in fields(data):
        row = table.get(number)
        if row is None:
            continue
        name, wire, read = row
        if isinstance(value, int) is (wire == LENGTH):
            # A list of numbers may also come packed.
            if name[-1] != "*" or wire != VARINT:
                raise ValueError(f"field {number} has the wrong wire type")
            found.setdefault(name[:-1], []).extend(_unpack(value))
            continue
        item = value if read is None else read(value)
        if name[-1] == "*":
            found.setdefault(name[:-1], []).append(item)
        else:
            found[name] = item
    return found


def _unpack(data: int | bytes) -> Sequence[int]:
    assert isinstance(data, bytes)
    at, out = 0, []
    while at < len(data):
        value, at = uvarint(data, at)
        out.append(value)
    return out


def _reader(table: _Table, make: Callable[..., _R]) -> Callable[[bytes], _R]:
    def read(data: bytes) -> _R:
        found = _collect(data, table)
        for name, value in found.items():
            if value.__class__ is list:
                found[name] = tuple(value)
        return make(**found)

    return read


def _snapshot_or_none(data: bytes) -> Snapshot | None:
    """Members older than 3.6 send an empty snapshot with every message."""
    snapshot = decode_snapshot(data)
    return None if snapshot.empty and not snapshot.data else snapshot


_ENTRY: _Table = {
    1: ("type", VARINT, EntryType),
    2: ("term", VARINT, None),
    3: ("index", VARINT, None),
    4: ("data", LENGTH, None),
}
decode_hard_state = _reader(
    {1: ("term", VARINT, None), 2: ("vote", VARINT, None), 3: ("commit", VARINT, None)}, HardState
)
decode_conf_state = _reader(
    {
        1: ("voters*", VARINT, None),
        2: ("learners*", VARINT, None),
        3: ("voters_outgoing*", VARINT, None),
        4: ("learners_next*", VARINT, None),
        5: ("auto_leave", VARINT, bool),
    },
    ConfState,
)
_decode_snapshot_metadata = _reader(
    {
        1: ("conf_state", LENGTH, decode_conf_state),
        2: ("index", VARINT, None),
        3: ("term", VARINT, None),
    },
    SnapshotMetadata,
)
decode_snapshot = _reader(
    {1: ("data", LENGTH, None), 2: ("metadata", LENGTH, _decode_snapshot_metadata)}, Snapshot
)
decode_conf_change = _reader(
    {
        1: ("id", VARINT, None),
        2: ("type", VARINT, ConfChangeType),
        3: ("node_id", VARINT, None),
        4: ("context", LENGTH, None),
    },
    ConfChange,
)
decode_conf_change_v2 = _reader(
    {
        1: ("transition", VARINT, ConfChangeTransition),
        2: (
            "changes*",
            LENGTH,
            _reader(
                {1: ("type", VARINT, ConfChangeType), 2: ("node_id", VARINT, None)},
                ConfChangeSingle,
            ),
        ),
        3: ("context", LENGTH, None),
    },
    ConfChangeV2,
)
_MESSAGE: dict[int, tuple[str, int, Callable[[Any], Any] | None]] = {
    1: ("type", VARINT, MessageType),
    2: ("to", VARINT, None),
    3: ("from_", VARINT, None),
    4: ("term", VARINT, None),
    5: ("log_term", VARINT, None),
    6: ("index", VARINT, None),
    7: ("entries*", LENGTH, decode_entry),
    8: ("commit", VARINT, None),
    9: ("snapshot", LENGTH, _snapshot_or_none),
    10: ("reject", VARINT, bool),
    11: ("reject_hint", VARINT, None),
    12: ("context", LENGTH, None),
    13: ("vote", VARINT, None),
}
_message_of = _reader(_MESSAGE, Message)


def decode_message(data: bytes) -> Message:
    """Read a raftpb.Message; raises ValueError, also when it has no type."""
    try:
        message = _decode_plain(data)
        return _message_of(data) if message is None else message
    except IndexError as error:
        raise ValueError("field is cut") from error
    except TypeError as error:  # the one field without a default
        raise ValueError("a message without a type") from error


def _decode_plain(data: bytes) -> Message | None:
    """A message of numbers, entries and a context, as nearly all are; None for any other."""
    at, end = 0, len(data)
    numbers = [-1, -1, 0, 0, 0, 0, 0, -1, 0, -1, 0, 0, -1, 0]  # by field; -1: must, or cannot be
    entries: list[Entry] = []
    context = b""
    while at < end:
        tag = data[at]
        if tag == ENTRY_TAG:
            at = decode_run(data, at, entries, decode_entry)
        elif tag & 7 == VARINT and tag <= 0x68:
            value = data[at + 1]
            at += 2
            if value >= 128:
                value, at = uvarint(data, at - 1)
            numbers[tag >> 3] = value
        elif tag == 0x62:
            size, at = uvarint(data, at + 1)
            context = data[at : at + size]
            at += size
            if at > end:
                raise ValueError("field is cut")
        else:
            return None
    none, kind, to, from_, term, log_term, index, run, commit, snap, reject, hint, text, vote = (
        numbers
    )
    if kind == -1 or none + run + snap + text != -4:
        return None  # let the table say what is wrong with it
    if kind >= len(_MESSAGE_TYPES):
        raise ValueError(f"message type {kind}")
    return Message(
        _MESSAGE_TYPES[kind],
        to,
        from_,
        term,
        log_term,
        index,
        tuple(entries),
        commit,
        vote,
        None,
        bool(reject),
        hint,
        context,
    )


_MESSAGE[14] = ("responses*", LENGTH, decode_message)
