"""What a leader knows of the other nodes: the configuration, and each node's progress."""

from __future__ import annotations

from .config import TrackerConfig
from .inflights import Inflights
from .progress import Progress, ProgressState
from .tracker import ProgressTracker

__all__ = ["Inflights", "Progress", "ProgressState", "ProgressTracker", "TrackerConfig"]
