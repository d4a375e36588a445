"""gRPC's length-prefixed messages: one flag byte, four bytes of length, the message."""

from __future__ import annotations

import struct

from ...errors import Code

__all__ = ["PREFIX_BYTES", "Deframer", "MessageFault", "frame", "read_prefix", "too_large"]

PREFIX_BYTES = 5
_PREFIX = struct.Struct(">BI")
read_prefix = _PREFIX.unpack_from
_pack = _PREFIX.pack
COMPRESSED = 1


class MessageFault(Exception):
    """The peer sent something that is no message for us; carries the call's status."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def frame(message: bytes) -> bytes:
    return _pack(0, len(message)) + message


def too_large(size: int, bytes_max: int) -> MessageFault:
    """grpc-go's text, which clients match."""
    return MessageFault(
        Code.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {bytes_max})"
    )


def flag_fault(flag: int, encoding: str) -> MessageFault:
    """Only uncompressed messages (flag 0) are understood; the refusals are worded as grpc-go's."""
    if flag != COMPRESSED:
        return MessageFault(Code.INTERNAL, f"grpc: received unexpected payload format {flag}")
    if encoding in ("", "identity"):
        text = "grpc: compressed flag set with identity or empty encoding"
        return MessageFault(Code.INTERNAL, text)
    text = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
    return MessageFault(Code.UNIMPLEMENTED, text)


class Deframer:
    """Cuts a stream of body bytes into messages.

    Args:
        bytes_max: the largest message accepted.
        encoding: the call's grpc-encoding, for the refusal's text.
        single: only the first message is wanted: what comes behind it is dropped, whatever it is, as grpc-go does.

    Attributes:
        satisfied: the only message has come.
    """

    __slots__ = ("_buffer", "_bytes_max", "_need", "_single", "encoding", "satisfied")

    def __init__(self, bytes_max: int, encoding: str = "", *, single: bool = False) -> None:
        self._bytes_max = bytes_max
        self.encoding = encoding
        self._single = single
        self.satisfied = False
        self._buffer = bytearray()
        self._need = PREFIX_BYTES

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now; raises MessageFault, after which the call is over."""
        if self.satisfied:
            return []
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._need:
                return []
            data = bytes(buffer)
            buffer.clear()
        messages = []
        at, end = 0, len(data)
        while end - at >= PREFIX_BYTES:
            flag, size = read_prefix(data, at)
            if flag:
                raise flag_fault(flag, self.encoding)
            if size > self._bytes_max:
                raise too_large(size, self._bytes_max)
            stop = at + PREFIX_BYTES + size
            if stop > end:
                self._need = PREFIX_BYTES + size
                break
            messages.append(data[at + PREFIX_BYTES : stop])
            if self._single:
                self.satisfied = True
                return messages
            at = stop
        else:
            self._need = PREFIX_BYTES
        if at < end:
            buffer += data[at:]
        return messages
