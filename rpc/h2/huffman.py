"""Huffman coding of header strings (RFC 7541 section 5.2).

Decoding walks a byte at a time: a state is a node of the code's tree, and each (state, byte) leads to the
next node and to the zero, one or two symbols that were completed on the way. A full table would have
256 x 256 entries, far more than real headers ever touch, so a step is computed when it is first
met and then kept.
"""

from __future__ import annotations

from .errors import ConnectionFault, ErrorCode
from .hpack_tables import EOS, HUFFMAN

__all__ = ["decode", "encode"]

# The tree, flattened: _TREE[2 * node + bit] is a child node, or ~symbol for a leaf.
_TREE: list[int] = [0, 0]
# States (node << 8) at most seven one-bits from the root: the only places where a string may stop.
_MAY_STOP: set[int] = {0}


def _plant() -> None:
    for symbol, (code, bits) in enumerate(HUFFMAN):
        node = 0
        for shift in range(bits - 1, 0, -1):
            at = 2 * node + (code >> shift & 1)
            if not _TREE[at]:
                _TREE[at] = len(_TREE) // 2
                _TREE.extend((0, 0))
            node = _TREE[at]
        _TREE[2 * node + (code & 1)] = ~symbol
    node = 0
    for _ in range(7):
        node = _TREE[2 * node + 1]
        _MAY_STOP.add(node << 8)


_plant()
_STEPS: dict[int, tuple[int, bytes]] = {}
"""node << 8 | byte -> (node << 8, symbols completed); at most 2**16 entries."""


def _step(key: int) -> tuple[int, bytes]:
    node, byte = key >> 8, key & 255
    done = bytearray()
    for shift in range(7, -1, -1):
        node = _TREE[2 * node + (byte >> shift & 1)]
        if node < 0:
            if node == ~EOS:
                raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "EOS inside a Huffman string")
            done.append(~node)
            node = 0
    step = _STEPS[key] = (node << 8, bytes(done))
    return step


def decode(data: bytes) -> bytes:
    """Decode; raises ConnectionFault (COMPRESSION_ERROR) for EOS or wrong padding."""
    steps = _STEPS
    while True:
        state = 0
        out = []
        try:
            for byte in data:
                state, done = steps[state | byte]
                out.append(done)
        except KeyError:
            _step(state | byte)  # a step nobody has taken yet: learn it and start again
            continue
        if state not in _MAY_STOP:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "wrong padding of a Huffman string")
        return b"".join(out)


def encode(data: bytes) -> bytes:
    """Encode; the last byte is filled up with ones, the head of EOS."""
    bits = width = 0
    for symbol in data:
        code, length = HUFFMAN[symbol]
        bits = bits << length | code
        width += length
    fill = -width % 8
    return (bits << fill | (1 << fill) - 1).to_bytes((width + fill) // 8, "big")
