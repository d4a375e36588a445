"""A fast simulator of the bare Raft library, and checkers of its promises."""

from __future__ import annotations

from .checkers import Violation
from .member import Member, Mode
from .simulation import STEPS, Simulation, run_seed

__all__ = ["STEPS", "Member", "Mode", "Simulation", "Violation", "run_seed"]
