"""The promises of Raft (figure 3 of the paper), one checker each, fed by the simulation."""

from __future__ import annotations

from .election_safety import ElectionSafety
from .leader_completeness import LeaderCompleteness
from .linearizable_reads import LinearizableReads
from .log_matching import LogMatching
from .state_machine_safety import StateMachineSafety
from .violation import Violation

__all__ = [
    "ElectionSafety",
    "LeaderCompleteness",
    "LinearizableReads",
    "LogMatching",
    "StateMachineSafety",
    "Violation",
]
