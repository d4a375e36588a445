"""The interface definitions; `generate.py` turns them into `rpc/pb`."""

from __future__ import annotations
