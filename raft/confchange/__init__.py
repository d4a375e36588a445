"""Membership changes: from one configuration to the next, or to nothing at all when refused."""

from __future__ import annotations

from .changer import Changer
from .restore import restore

__all__ = ["Changer", "restore"]
