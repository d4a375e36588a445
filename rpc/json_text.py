"""JSON as it arrives at the gateway: cut a byte stream into values, and parse one strictly.

A request stream (`/v3/watch`) is a body of concatenated objects that may take hours to end, and a
unary body is cut after its first value, as Go's decoder does. So the cutter works on arriving bytes,
remembers where it is, and looks at each byte once, whatever the sender's chunks are.

The parsed form keeps what protobuf's JSON rules must see and Python's `dict` and `int` would lose:
objects are tuples of pairs (duplicate names), numbers are their text (range, fraction, 10**6 digits).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from ..errors import Code, EtcdError

__all__ = ["JSON_DEPTH_MAX", "JsonCutter", "Number", "Object", "bad_json", "parse"]

JSON_DEPTH_MAX: Final = 100  # of arrays and objects; a txn inside a txn takes three
_OPEN: Final = re.compile(rb'["{}\[\]]')  # what matters outside of strings
_STRING: Final = re.compile(rb'["\\]')  # and inside
_SPACE: Final = re.compile(rb"[ \t\r\n]*")


class Object(tuple[tuple[str, Any], ...]):
    """A JSON object: its members in order, duplicates included."""

    __slots__ = ()


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


def bad_json(text: str) -> EtcdError:
    """The answer to a body that is no request: InvalidArgument, HTTP 400."""
    return EtcdError(text, code=Code.INVALID_ARGUMENT)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"invalid value {constant}")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=_refuse
)


def parse(value: bytes) -> Any:
    """Parse one value: Object, list, str, Number, bool or None; raises EtcdError."""
    try:
        return _DECODER.decode(value.decode())
    except UnicodeDecodeError:
        raise bad_json("proto: syntax error: invalid UTF-8 in string") from None
    except (ValueError, RecursionError) as error:
        raise bad_json(f"proto: syntax error: {error}") from None


class JsonCutter:
    """Cuts concatenated JSON objects out of a byte stream."""

    def __init__(self, *, object_bytes_max: int) -> None:
        self.object_bytes_max = object_bytes_max
        self._buffer = bytearray()
        self._at = 0  # looked at up to here
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> None:
        """Add bytes as they come."""
        self._buffer += data

    def take(self) -> bytes | None:
        """The next whole object, or None until more bytes come; raises EtcdError (then stop)."""
        buffer = self._buffer
        if not self._depth:
            del buffer[: _end(_SPACE.match(buffer))]
            if not buffer:
                return None
            if buffer[0] != 0x7B:
                raise bad_json(f"proto: syntax error: unexpected token {_shown(buffer)}")
        if not self._advance():
            if len(buffer) > self.object_bytes_max:
                raise bad_json(f"request body is larger than {self.object_bytes_max} bytes")
            return None
        taken = bytes(buffer[: self._at])
        del buffer[: self._at]
        self._at = 0
        return taken

    def finish(self) -> None:
        """The body has ended; raises EtcdError in the middle of a value."""
        if self._buffer.strip():
            raise bad_json("unexpected EOF")

    def _advance(self) -> bool:
        """Look at the new bytes; True when the object at the start is complete."""
        buffer, at = self._buffer, self._at
        while True:
            found = (_STRING if self._in_string else _OPEN).search(buffer, at)
            if found is None:
                self._at = max(at, len(buffer))  # an escape may reach beyond the end
                return False
            at = found.end()
            byte = found.group()
            if byte == b"\\":
                at += 1
            elif byte == b'"':
                self._in_string = not self._in_string
            elif byte in b"{[":
                self._depth += 1
                if self._depth > JSON_DEPTH_MAX:
                    raise bad_json("exceeded max recursion depth")
            else:
                self._depth -= 1
                if not self._depth:
                    self._at = at
                    return True


def _end(match: re.Match[bytes] | None) -> int:
    return match.end() if match else 0


def _shown(buffer: bytearray) -> str:
    return repr(bytes(buffer[:32]).decode("ascii", "backslashreplace"))
