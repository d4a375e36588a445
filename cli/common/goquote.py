r"""Go's quoting: what `%q` writes, and what `%q` and shells' quotes read.

Keys and values are bytes; Go quotes valid UTF-8 as characters and other bytes as `\xNN`. In Python such a byte
is a surrogate of an argument's text (PEP 383), so text and bytes are the same here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["as_bytes", "as_text", "quote", "unquote_prefix"]

_SHORT: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_LONG: Final = {text[1]: char for char, text in _SHORT.items()}
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*")
_OCTAL: Final = re.compile(r"[0-3][0-7]{2}")
_HEX_DIGITS: Final = {"x": 2, "u": 4, "U": 8}


def as_bytes(text: str | bytes) -> bytes:
    """The bytes of a command line argument, whatever they are."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def as_text(data: bytes | str) -> str:
    """Bytes as text; what is no UTF-8 becomes surrogates, and `as_bytes` gives it back."""
    return data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")


def quote(data: bytes | str) -> str:
    r"""Go's strconv.Quote: "a\n", "ä", "\xff", "\u200b"."""
    text = as_text(data)
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    short = _SHORT.get(char)
    if short is not None:
        return short
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code == 0x20 or _printable(char):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _printable(char: str) -> bool:
    """Go's unicode.IsPrint: letters, marks, numbers, punctuation and symbols."""
    return unicodedata.category(char)[0] in "LMNPS"


def unquote_prefix(text: str) -> tuple[str, str]:
    r"""Read a Go string, "..." with escapes or `...`, at the start of a text, as fmt.Sscanf's %q does.

    Returns:
        The string and what follows it.

    Raises:
        ValueError: there is none; with the text of Go's error.
    """
    if text.startswith("`"):
        raw, found, rest = text[1:].partition("`")
        if not found:
            raise ValueError("unexpected EOF")
        return raw, rest
    if not text:
        raise ValueError("unexpected EOF")
    if not text.startswith('"'):
        raise ValueError("expected quoted string")
    out = bytearray()
    at = 1
    while at < len(text):
        char = text[at]
        if char == '"':
            return as_text(bytes(out)), text[at + 1 :]
        if char == "\n":
            break
        if char == "\\":
            data, at = _escape(text, at + 1)
            out += data
        else:
            out += as_bytes(char)
            at += 1
    raise ValueError("unexpected EOF" if at >= len(text) else "invalid syntax")


def _escape(text: str, at: int) -> tuple[bytes, int]:
    char = text[at : at + 1]
    wrong = ValueError("invalid syntax")
    if char in _LONG and char:
        return _LONG[char].encode(), at + 1
    if octal := _OCTAL.match(text, at):
        return bytes([int(octal[0], 8)]), octal.end()
    size = _HEX_DIGITS.get(char)
    if size is None:
        raise wrong if char else ValueError("unexpected EOF")
    digits = text[at + 1 : at + 1 + size]
    if not re.fullmatch(f"[0-9a-fA-F]{{{size}}}", digits):
        raise wrong
    code = int(digits, 16)
    if char == "x":
        return bytes([code]), at + 3
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise wrong
    return chr(code).encode(), at + 1 + size
