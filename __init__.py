"""Triode: etcd as a Python library."""

from __future__ import annotations

from .version import TRIODE_VERSION as __version__
