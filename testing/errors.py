"""What goes wrong in a simulated world, as exceptions."""

from __future__ import annotations

from ..errors import Code, EtcdError, TriodeError
from ..raft.simulated_disk import PowerLoss

__all__ = ["ConnectionLost", "PowerLoss", "SimulationError"]


class SimulationError(TriodeError):
    """The test asks for what this world cannot do."""


class ConnectionLost(EtcdError):
    """The member went away, or cannot be reached: whether the request was carried out is unknown."""

    code = Code.UNAVAILABLE
    text = "transport: the member is gone"
