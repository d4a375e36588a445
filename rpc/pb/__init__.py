"""Generated message classes, one module per file of `rpc/proto`. Do not edit: run `make proto`."""

from __future__ import annotations
