"""What goes wrong in a simulated world, as exceptions."""

from __future__ import annotations

from ..errors import Code, EtcdError, TriodeError
from ..raft.simulated_disk import PowerLoss

__all__ = ["ConnectionLost", "PowerLoss", "SimulationError", "caused_by"]


class SimulationError(TriodeError):
    """The test asks for what this world cannot do."""


class ConnectionLost(EtcdError):
    """The member went away, or cannot be reached: whether the request was carried out is unknown."""

    code = Code.UNAVAILABLE
    text = "transport: the member is gone"


def caused_by(
    error: BaseException | None, kind: type[Exception] | tuple[type[Exception], ...]
) -> bool:
    """Whether an error, one of its causes or a part of it is of that kind."""
    while error is not None and not isinstance(error, kind):
        if isinstance(error, BaseExceptionGroup):
            return any(caused_by(each, kind) for each in error.exceptions)
        error = error.__cause__
    return error is not None
