"""What becomes of an exception that no code has foreseen, while a call is served.

It is a defect of ours, not of the client's, and must cost no more than that call: the client is told INTERNAL,
the operator finds the traceback in the log, the connection and the node go on. (Not so in the applier, where
it could mean that this member differs from the others.)
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from ..errors import Code, DiskFull, EtcdError, NoSpace, Stopped, TooManyRequests
from .errors import MailboxClosed, MailboxFull
from .log import Log

__all__ = ["refusal_of"]

log = Log("triode.serving")


def refusal_of(error: Exception, path: str = "") -> EtcdError:
    """What the client is told about an exception that ended its call."""
    if isinstance(error, EtcdError):
        return error
    if isinstance(error, DecodeError):
        # what gRPC answers when a request is not a message of its type
        return EtcdError("grpc: error unmarshalling request", code=Code.INTERNAL)
    if isinstance(error, MailboxClosed):
        return Stopped()
    if isinstance(error, MailboxFull):
        return TooManyRequests()
    if isinstance(error, DiskFull):  # what is asked for begins with a commit of the backend
        return NoSpace()
    log.failure("a call failed in a way that was not foreseen", error, path=path)
    return EtcdError("internal error, see the server's log", code=Code.INTERNAL)
