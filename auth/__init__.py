"""Who may do what: users, roles and tokens (no part of a single open node needs it yet)."""

from __future__ import annotations
