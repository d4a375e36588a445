"""The client's own errors, and how an answer becomes one.

What a server says is an `EtcdError`: of the class whose exact text it is, else a plain one with the code. What goes
wrong on the way to it is an `EtcdError`, too, with gRPC's code for it, so that `except EtcdError` is enough for a
program that only wants to know that a call has failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..errors import Code, EtcdError, TriodeError, by_text

__all__ = [
    "CallFailed",
    "ClientClosed",
    "ConnectionLost",
    "EndpointError",
    "Unreachable",
    "UntrustedServer",
    "error_of",
]


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
