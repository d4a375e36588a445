"""The page at `/ui`: see docs/ui.md."""

from __future__ import annotations
