"""A real etcd to compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def etcd(launch_etcd_once: Callable[..., Any]) -> str:
    """The address of a fresh single etcd, as host:port."""
    address: str = launch_etcd_once("--unsafe-no-fsync").address
    return address
