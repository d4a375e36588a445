"""Judges of what clients saw: one per promise, each pure, for simulated and for real runs alike.

`judge` runs all that a history allows. See docs/checkers.md.
"""

from __future__ import annotations

from .acknowledged import check_acknowledged
from .evidence import Log
from .hashes import HashSample, check_hashes, check_rest
from .history import Event, History, Operation, Watch, WatchRequest, WatchResponse
from .judge import Judgement, judge
from .lease import Peace, check_leases_early, check_leases_late
from .linearizability import Linearization, Verdict, check_linearizable
from .queues import QueueSample, check_queues
from .replay import Replay
from .report import Inexpressible, save_report
from .serializable import check_serializable
from .timeline import timeline
from .violation import Violation
from .watch import check_watches

__all__ = [
    "Event",
    "HashSample",
    "History",
    "Inexpressible",
    "Judgement",
    "Linearization",
    "Log",
    "Operation",
    "Peace",
    "QueueSample",
    "Replay",
    "Verdict",
    "Violation",
    "Watch",
    "WatchRequest",
    "WatchResponse",
    "check_acknowledged",
    "check_hashes",
    "check_leases_early",
    "check_leases_late",
    "check_linearizable",
    "check_queues",
    "check_rest",
    "check_serializable",
    "check_watches",
    "judge",
    "save_report",
    "timeline",
]
