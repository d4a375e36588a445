from __future__ import annotations

from collections.abc import Callable

import pytest

from triode.rpc.h2 import PREFACE, Connection, Limits, hpack_encoder
from triode.rpc.h2.fields import PlainHead, parse_plain
from triode.rpc.h2.frames import frame_head, pack_head
from triode.rpc.h2.hpack_tables import Field

REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"here"),
)


def parse_whole(fields: tuple[Field, ...]) -> PlainHead:
    head = parse_plain(fields, request=True)
    head.whole = True
    return head


class Wire:
    """Builds frames by hand, right or wrong."""

    request = REQUEST
    block = hpack_encoder.encode(REQUEST)

    @staticmethod
    def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
        return pack_head(len(payload) << 8 | kind, flags, stream_id) + payload

    @staticmethod
    def split(data: bytes) -> list[tuple[int, int, int, bytes]]:
        """(type, flags, stream id, payload) of each frame in `data`, which must be whole frames."""
        frames = []
        at = len(PREFACE) if data.startswith(PREFACE) else 0
        while at < len(data):
            word, flags, stream_id = frame_head(data, at)
            frames.append((word & 255, flags, stream_id, data[at + 9 : at + 9 + (word >> 8)]))
            at += 9 + (word >> 8)
        assert at == len(data)
        return frames


@pytest.fixture
def wire() -> type[Wire]:
    return Wire


@pytest.fixture
def make_server() -> Callable[..., Connection]:
    """A server whose client has sent preface and settings, with nothing left to send.

    `whole` asks for request bodies in one piece.
    """

    def make(*, whole: bool = False, **limits: int) -> Connection:
        parser = parse_whole if whole else None
        server = Connection(limits=Limits(**limits), parse_head=parser)
        server.receive(PREFACE + Wire.frame(4, 0, 0))
        server.receive(Wire.frame(4, 1, 0))
        server.data_to_send()
        return server

    return make


@pytest.fixture
def make_client() -> Callable[..., Connection]:
    """A client whose server has sent its settings, with nothing left to send.

    `whole` asks for request bodies in one piece.
    """

    def make(**limits: int) -> Connection:
        client = Connection(client=True, limits=Limits(**limits))
        client.receive(Wire.frame(4, 0, 0) + Wire.frame(4, 1, 0))
        client.data_to_send()
        return client

    return make
