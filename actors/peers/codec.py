"""Raft messages as they travel on the two streams between peers. Sans-IO.

The frames are cut in `rpc.peer_frames`; here they get their meaning. On the msgappv2 stream an append that continues
the one before is sent without its head, as both sides know what it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...protowire import uvarint, varint
from ...raft.codec import decode_entry, decode_message, encode_entries, encode_message
from ...raft.types import Entry, EntryType, Message, MessageType
from ...rpc.peer_frames import (
    LINK_HEARTBEAT,
    AppendFrame,
    AppendFrames,
    FrameError,
    LengthFrames,
    append_frame,
    append_frame_entries,
    full_frame,
    length_frame,
)

__all__ = ["AppendDecoder", "AppendEncoder", "EntriesMemo", "MessageDecoder", "MessageEncoder"]

APP, HEARTBEAT = MessageType.APP, MessageType.HEARTBEAT
FIRST_NUMBER, LAST_NUMBER = 4 << 3, 13 << 3  # the tags of `term` and of `vote`
_TYPES = tuple(MessageType)
LAST_TYPE = len(_TYPES) - 1
_LINK_HEARTBEAT_MESSAGE = length_frame(encode_message(Message(HEARTBEAT)))


class EntriesMemo:
    """The entries that were encoded last: a leader sends the same ones to all its followers.

    Entries are values of one log, so that the first and the last object and the number say which they are.
    """

    __slots__ = ("_encoded", "_entries")

    def __init__(self) -> None:
        self._entries: Sequence[Entry] = ()
        self._encoded = append_frame_entries(())

    def frame(self, entries: Sequence[Entry]) -> bytes:
        """`append_frame_entries` of them."""
        last = self._entries
        if len(last) != len(entries) or (
            entries and (last[0] is not entries[0] or last[-1] is not entries[-1])
        ):
            self._encoded = append_frame_entries(encode_entries(entries))
            self._entries = entries
        return self._encoded


class MessageEncoder:
    """The message stream, which takes every message."""

    heartbeat = _LINK_HEARTBEAT_MESSAGE

    def encode(self, message: Message) -> bytes:
        """The frame of a message."""
        return length_frame(encode_message(message))


class AppendEncoder:
    """The msgappv2 stream, which takes appends."""

    heartbeat = LINK_HEARTBEAT

    def __init__(self, memo: EntriesMemo) -> None:
        self._memo = memo
        self._term = self._index = 0

    def encode(self, message: Message) -> bytes:
        """The frame of an append, which depends on those before."""
        entries = message.entries
        if message.index == self._index and message.log_term == self._term == message.term:
            self._index += len(entries)
            return append_frame(self._memo.frame(entries), message.commit)
        self._term = message.term
        self._index = entries[-1].index if entries else message.index
        return full_frame(encode_message(message))


class MessageDecoder:
    """Reads the message stream of `remote` to `local`. Link heartbeats are left out."""

    def __init__(self, local: int, remote: int) -> None:
        self._frames = LengthFrames()
        self._local, self._remote = local, remote
        self._ids = b"\x10%b\x18%b\x20" % (varint(local), varint(remote))

    def feed(self, data: bytes) -> list[Message]:
        """The next complete messages; raises ValueError."""
        messages = [self._decode(frame) for frame in self._frames.feed(data)]
        return [m for m in messages if m.type is not HEARTBEAT or m.from_ or m.to]

    def _decode(self, data: bytes) -> Message:
        """Most messages have numbers only, written in order: read without the tables of the codec."""
        if not data.startswith(self._ids, 2) or data[0] != 8 or data[1] > LAST_TYPE:
            return decode_message(data)
        values = [0] * 14
        at, end, tag = 1 + len(self._ids), len(data), 0
        while at < end:
            tag = data[at]
            if tag & 7 or not FIRST_NUMBER <= tag <= LAST_NUMBER:
                return decode_message(data)
            value = data[at + 1] if at + 1 < end else 128
            at += 2
            if value > 127:
                value, at = uvarint(data, at - 1)
            values[tag >> 3] = value
        return Message(
            _TYPES[data[1]],
            self._local,
            self._remote,
            values[4],
            values[5],
            values[6],
            commit=values[8],
            vote=values[13],
            reject=values[10] != 0,
            reject_hint=values[11],
        )


class AppendDecoder:
    """Reads the msgappv2 stream of `remote` to `local`. Link heartbeats are left out."""

    def __init__(self, local: int, remote: int) -> None:
        self._frames = AppendFrames()
        self._local, self._remote = local, remote
        self._term = self._index = 0

    def feed(self, data: bytes) -> list[Message]:
        """The next complete messages; raises ValueError."""
        messages: list[Message] = []
        for frame in self._frames.feed(data):
            if isinstance(frame, AppendFrame):
                messages.append(self._continue(frame))
            elif frame is not None:
                messages.append(self._begin(frame))
        return messages

    def _begin(self, frame: bytes) -> Message:
        message = decode_message(frame)
        self._term = message.term
        self._index = message.entries[-1].index if message.entries else message.index
        return message

    def _continue(self, frame: AppendFrame) -> Message:
        if not self._term:
            raise FrameError("an append that continues nothing")
        before = self._index
        entries = _entries_after(self._term, before, frame.entries)
        self._index += len(entries)
        return Message(
            APP,
            to=self._local,
            from_=self._remote,
            term=self._term,
            log_term=self._term,
            index=before,
            entries=entries,
            commit=frame.commit,
        )


def _entries_after(term: int, index: int, encoded: list[bytes]) -> list[Entry]:
    """Decode the entries that follow `index`. What they begin with is known, if nothing strange is sent."""
    entries: list[Entry] = []
    append, make, normal = entries.append, tuple.__new__, EntryType.NORMAL
    head = b"\x08\x00\x10%b\x18" % varint(term)
    for data in encoded:
        index += 1
        known = b"%b%b\x22" % (head, varint(index))
        at = len(known)
        if data.startswith(known) and len(data) > at + 1:
            size = data[at]
            if size > 127:
                at += 1
                size += (data[at] << 7) - 128
            if size == len(data) - at - 1 and data[at] < 128:
                append(make(Entry, (term, index, normal, data[at + 1 :])))
                continue
        entry = decode_entry(data)
        if entry.index != index:
            raise FrameError("an append with other entries than those that follow")
        append(entry)
    return entries
