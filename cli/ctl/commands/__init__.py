"""One module per group of commands; each has `COMMANDS`."""

from __future__ import annotations
