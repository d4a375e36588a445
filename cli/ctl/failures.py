"""What etcdctl says of errors of the server and of the connection."""

from __future__ import annotations

from typing import Final

from ...client.errors import CLOSED_TEXT, EndpointError
from ...errors import Code, EtcdError, by_text
from ..common.exits import BAD_ARGUMENTS, Failure

__all__ = ["DEADLINE_TEXT", "EOF_TEXT", "error_text", "explain"]

DEADLINE_TEXT: Final = "context deadline exceeded"
EOF_TEXT: Final = "error reading from server: EOF"

_NAMES = {
    Code.CANCELED: "Canceled",
    Code.UNKNOWN: "Unknown",
    Code.INVALID_ARGUMENT: "InvalidArgument",
    Code.DEADLINE_EXCEEDED: "DeadlineExceeded",
    Code.NOT_FOUND: "NotFound",
    Code.ALREADY_EXISTS: "AlreadyExists",
    Code.PERMISSION_DENIED: "PermissionDenied",
    Code.RESOURCE_EXHAUSTED: "ResourceExhausted",
    Code.FAILED_PRECONDITION: "FailedPrecondition",
    Code.ABORTED: "Aborted",
    Code.OUT_OF_RANGE: "OutOfRange",
    Code.UNIMPLEMENTED: "Unimplemented",
    Code.INTERNAL: "Internal",
    Code.UNAVAILABLE: "Unavailable",
    Code.DATA_LOSS: "DataLoss",
    Code.UNAUTHENTICATED: "Unauthenticated",
}


def error_text(error: EtcdError) -> str:
    """An answer's error as Go's client shows it: etcd's own errors plainly, others with their code."""
    if by_text(error.message) is not None:
        return error.message
    text = EOF_TEXT if error.message == CLOSED_TEXT else error.message
    return f"rpc error: code = {_NAMES[error.status]} desc = {text}"


def explain(error: BaseException) -> Failure | None:
    """A Failure for what a command did not expect itself."""
    if isinstance(error, EtcdError):
        return Failure(error_text(error))
    if isinstance(error, EndpointError):
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.filename:  # in Go's words
            text = f"open {cause.filename}: {(cause.strerror or str(cause)).lower()}"
            return Failure(text, BAD_ARGUMENTS)
        return Failure(str(error), BAD_ARGUMENTS)
    return None
