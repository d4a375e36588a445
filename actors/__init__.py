"""Supervised actors on Trio. This package's front knows nothing of etcd; see docs/actors.md."""

from __future__ import annotations

from .actor import Actor, PromptActor
from .errors import (
    ActorError,
    ActorFailed,
    ActorStopped,
    AskTimeout,
    MailboxClosed,
    MailboxFull,
    NameTaken,
    RestartsExceeded,
    StartFailed,
    TreeFailed,
)
from .life import State
from .mailbox import Mailbox, MailboxStatistics
from .policy import Backoff, Restart, Strategy
from .ref import ActorRef, Down, DownReason
from .reply import Reply
from .running import running
from .supervisor import Child, Supervisor
from .tree import ActorStatistics, Tree
from .world import Clock, Network, RealClock, TcpNetwork, World

__all__ = [
    "Actor",
    "ActorRef",
    "Reply",
    "Mailbox",
    "running",
    "Supervisor",
    "Child",
    "Restart",
    "Strategy",
    "Backoff",
    "State",
    "Down",
    "DownReason",
    "ActorStatistics",
    "MailboxStatistics",
    "Tree",
    "World",
    "Clock",
    "RealClock",
    "Network",
    "PromptActor",
    "TcpNetwork",
    "ActorError",
    "ActorFailed",
    "ActorStopped",
    "AskTimeout",
    "MailboxClosed",
    "MailboxFull",
    "NameTaken",
    "RestartsExceeded",
    "StartFailed",
    "TreeFailed",
]
