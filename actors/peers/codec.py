"""Raft messages as they travel on the two streams between peers. Sans-IO.

The frames are cut in `rpc.peer_frames`; here they get their meaning. On the msgappv2 stream an append that continues
the one before is sent without its head, as both sides know what it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...raft.codec import decode_entry, decode_message, encode_entries, encode_message
from ...raft.types import Entry, Message, MessageType
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
    """Reads the message stream. Link heartbeats are left out."""

    def __init__(self) -> None:
        self._frames = LengthFrames()

    def feed(self, data: bytes) -> list[Message]:
        """The next complete messages; raises ValueError."""
        messages = [decode_message(frame) for frame in self._frames.feed(data)]
        return [m for m in messages if m.type is not HEARTBEAT or m.from_ or m.to]


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
        entries = [decode_entry(data) for data in frame.entries]
        self._index += len(entries)
        if entries and (entries[0].index != before + 1 or entries[-1].index != self._index):
            raise FrameError("an append with other entries than those that follow")
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
