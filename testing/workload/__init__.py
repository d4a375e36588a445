"""Clients that do things and write down what came of them, for simulated and for real clusters."""

from __future__ import annotations
