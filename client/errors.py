"""The client's own errors, and how an answer becomes one.

What a server says is an `EtcdError`: of the class whose exact text it is, else a plain one with the code. What goes
wrong on the way to it is an `EtcdError`, too, with gRPC's code for it, so that `except EtcdError` is enough for a
program that only wants to know that a call has failed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar, Final

from ..errors import Code, Compacted, EtcdError, TriodeError, by_text

__all__ = [
    "CLOSED_TEXT",
    "CallFailed",
    "ClientClosed",
    "Conflict",
    "ConnectionLost",
    "EndpointError",
    "KeyExists",
    "LeaseLost",
    "Locked",
    "ScanCompacted",
    "TooManyClients",
    "Unreachable",
    "UntrustedServer",
    "WatchCompacted",
    "error_of",
    "os_reason",
]

CLOSED_TEXT: Final = "the server closed the connection"


class EndpointError(TriodeError, ValueError):
    """An endpoint cannot be understood; the message shows it."""


class ClientClosed(EtcdError):
    """The block of the client has ended."""

    code: ClassVar[Code] = Code.CANCELED
    text: ClassVar[str] = "the client is closed"


class ConnectionLost(EtcdError):
    """The connection broke while the call was on its way: nobody knows whether it was carried out."""

    code: ClassVar[Code] = Code.UNAVAILABLE
    text: ClassVar[str] = "the connection was lost"


class Unreachable(EtcdError):
    """No endpoint could be reached; the call was surely not made.

    Attributes:
        reasons: what was wrong with each endpoint.
    """

    code: ClassVar[Code] = Code.UNAVAILABLE
    text: ClassVar[str] = "no endpoint could be reached"

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = dict(reasons)
        details = "; ".join(f"{endpoint}: {reason}" for endpoint, reason in self.reasons.items())
        super().__init__(f"{self.text}: {details}" if details else self.text)


class UntrustedServer(Unreachable):
    """Every endpoint was refused for what its certificate says, or refused ours, or speaks no TLS."""

    text: ClassVar[str] = "no endpoint could be trusted"


class WatchCompacted(Compacted):  # type: ignore[misc, valid-type]
    """The watch needs history that is gone: read the keys anew, and watch from there on.

    Attributes:
        compact_revision: the oldest revision that can still be watched from.
    """

    def __init__(self, compact_revision: int) -> None:
        self.compact_revision = compact_revision
        super().__init__()

    def __str__(self) -> str:
        return f"{self.message}: the oldest there is, is {self.compact_revision}"


class LeaseLost(TriodeError):
    """A lease that a block relied on has run out, or was revoked, before the block had ended.

    Attributes:
        lease_id: which one.
    """

    def __init__(self, lease_id: int, why: str) -> None:
        self.lease_id = lease_id
        super().__init__(f"lease {lease_id:x} is lost: {why}")


class Locked(TriodeError):
    """The lock is not to be had at once."""

    def __init__(self) -> None:
        super().__init__("mutex: Locked by another session")


class Conflict(TriodeError):
    """A transaction as a function was tried as often as it may, and others were in its way each time."""


class KeyExists(TriodeError):
    """The key of a recipe is there already."""


class TooManyClients(TriodeError):
    """A double barrier has as many clients as it takes."""


class ScanCompacted(Compacted):  # type: ignore[misc, valid-type]
    """The revision that a scan reads was compacted before the scan had come to its end: begin again.

    Attributes:
        revision: what was read.
        next_key: the first key that could not be read any more.
    """

    def __init__(self, revision: int, next_key: bytes) -> None:
        self.revision = revision
        self.next_key = next_key
        super().__init__(
            f"{self.text}: the scan of revision {revision} had come to key {next_key!r}; begin again"
        )


class CallFailed(Exception):
    """How a connection tells its channel of a call that failed. Users never see it.

    Attributes:
        error: what the caller is to be told.
        processed: the server may have seen the call. False: surely not.
    """

    def __init__(self, error: EtcdError, *, processed: bool = True) -> None:
        super().__init__(error)
        self.error = error
        self.processed = processed


def error_of(code: int, text: str) -> EtcdError:
    """The error for a status that a server sent."""
    try:
        status = Code(code)
    except ValueError:
        status = Code.UNKNOWN
    known = by_text(text)
    return known(code=status) if known is not None else EtcdError(text, code=status)


def os_reason(error: OSError) -> str:
    """What the system says, in its words."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
