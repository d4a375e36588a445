"""The status of a call on the wire: `grpc-status` and the percent-encoded `grpc-message`."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ..h2 import hpack_encoder
from ..h2.hpack_tables import Field

__all__ = ["decode_message", "encode_message", "trailers_block", "trailers_only_block"]

_CONTENT_TYPE: Field = (b"content-type", b"application/grpc")
_ENCODED = re.compile(rb"[^\x20-\x24\x26-\x7e]")
MESSAGE_BYTES_MAX = 8 << 10
"""A longer text is cut, because clients bound the size of header lists."""
_BLOCKS_MAX = 512
_blocks: dict[tuple[int, str, int], bytes] = {}


def encode_message(text: str) -> bytes:
    """Percent-encode the UTF-8 bytes outside printable ASCII, and `%` itself."""
    raw = text.encode("utf-8", "replace")[:MESSAGE_BYTES_MAX]
    return _ENCODED.sub(lambda match: b"%%%02X" % match[0][0], raw)


def decode_message(value: bytes) -> str:
    """Undo `encode_message`; wrong escapes stay as they are, wrong UTF-8 is replaced."""
    return unquote_to_bytes(value).decode("utf-8", "replace")


def _status(code: int, text: str) -> list[Field]:
    fields: list[Field] = [(b"grpc-status", b"%d" % code)]
    if text:
        fields.append((b"grpc-message", encode_message(text)))
    return fields


def trailers_block(code: int, text: str, metadata: tuple[Field, ...] = ()) -> bytes:
    """Trailers of a call that has sent headers. Errors of a catalogue repeat, so blocks are kept."""
    key = (code, text, 0)
    block = _blocks.get(key)
    if block is None:
        block = _keep(key, hpack_encoder.encode(_status(code, text)))
    return block + hpack_encoder.encode(metadata) if metadata else block


def trailers_only_block(
    code: int, text: str, http_status: int = 200, extra: tuple[Field, ...] = ()
) -> bytes:
    """Headers and trailers in one block, for a call that fails before anything was sent."""
    key = (code, text, http_status)
    block = _blocks.get(key)
    if block is None:
        head: list[Field] = [(b":status", b"%d" % http_status), _CONTENT_TYPE]
        block = _keep(key, hpack_encoder.encode(head + _status(code, text)))
    return block + hpack_encoder.encode(extra) if extra else block


def _keep(key: tuple[int, str, int], block: bytes) -> bytes:
    if len(_blocks) >= _BLOCKS_MAX:
        _blocks.clear()
    _blocks[key] = block
    return block
