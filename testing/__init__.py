"""Clusters for tests: whole members on simulated machines, in virtual time.

`cluster` runs one inside a test; `run` runs a program from a seed, so that the same seed gives the same run.
See docs/testing.md.
"""

from __future__ import annotations

from .client import Client
from .cluster import Cluster, cluster
from .conditions import Conditions
from .determinism import run
from .errors import ConnectionLost, SimulationError
from .machine import Machine
from .trace import Trace

__all__ = [
    "Client",
    "Cluster",
    "Conditions",
    "ConnectionLost",
    "Machine",
    "SimulationError",
    "Trace",
    "cluster",
    "run",
]
