"""Clients that do things and write down what came of them, for simulated and for real clusters."""

from __future__ import annotations

from .client import Endpoint, Endpoints, LossyEndpoint, RecordingClient
from .recorder import Recorder
from .sockets import SocketEndpoint
from .traffic import MIXES, Counters, Kubernetes, Leases, Mix, Plain
from .watcher import Watcher
from .workload import WATCHES, Workload, hashes_of, log_of

__all__ = [
    "MIXES",
    "WATCHES",
    "Counters",
    "Endpoint",
    "Endpoints",
    "Kubernetes",
    "Leases",
    "LossyEndpoint",
    "Mix",
    "Plain",
    "Recorder",
    "RecordingClient",
    "SocketEndpoint",
    "Watcher",
    "Workload",
    "hashes_of",
    "log_of",
]
