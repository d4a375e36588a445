"""Triode: etcd as a Python library.

    async with triode.open_node(triode.Config(backend="memory", listen_client_urls=())) as node:
        ...

The public API is what this module exports; everything is imported on first use, so that `import triode` costs
nothing in a program that only needs a part.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import TRIODE_VERSION

if TYPE_CHECKING:
    from . import actors as actors
    from . import auth as auth
    from . import backends as backends
    from . import client as client
    from . import config as config
    from . import errors as errors
    from . import raft as raft
    from . import testing as testing
    from .actors.node import Node, open_node
    from .client.barrier import Barrier, DoubleBarrier
    from .client.client import Client, connect
    from .client.compares import key
    from .client.election import Leadership
    from .client.errors import ConnectionLost, LeaseLost, Locked, Unreachable, WatchCompacted
    from .client.keys import ALL_KEYS, Keys, from_key, key_range, prefix
    from .client.lease import Lease
    from .client.lock import Lock
    from .client.ops import delete, get, nested, put
    from .client.rwlock import RWLock
    from .client.stm import Isolation, Stm
    from .client.sync import SyncClient, connect_sync
    from .client.tls import TLS
    from .client.txn import TxnResult
    from .client.watch import Watch
    from .client.watch_events import Event, EventType
    from .config import Config
    from .errors import ConfigError, EtcdError, NodeError, TriodeError

__version__ = TRIODE_VERSION
__all__ = [
    "ALL_KEYS",
    "Barrier",
    "Client",
    "Config",
    "ConfigError",
    "ConnectionLost",
    "DoubleBarrier",
    "EtcdError",
    "Event",
    "EventType",
    "Isolation",
    "Keys",
    "Leadership",
    "Lease",
    "LeaseLost",
    "Lock",
    "Locked",
    "Node",
    "NodeError",
    "RWLock",
    "Stm",
    "SyncClient",
    "TLS",
    "TriodeError",
    "TxnResult",
    "Unreachable",
    "Watch",
    "WatchCompacted",
    "__version__",
    "connect",
    "connect_sync",
    "delete",
    "from_key",
    "get",
    "key",
    "key_range",
    "nested",
    "open_node",
    "prefix",
    "put",
]

_HOMES = {
    "ALL_KEYS": "client.keys",
    "Barrier": "client.barrier",
    "Client": "client.client",
    "Config": "config",
    "ConfigError": "errors",
    "ConnectionLost": "client.errors",
    "DoubleBarrier": "client.barrier",
    "EtcdError": "errors",
    "Event": "client.watch_events",
    "EventType": "client.watch_events",
    "Isolation": "client.stm",
    "Keys": "client.keys",
    "Leadership": "client.election",
    "Lease": "client.lease",
    "LeaseLost": "client.errors",
    "Lock": "client.lock",
    "Locked": "client.errors",
    "Node": "actors.node",
    "NodeError": "errors",
    "RWLock": "client.rwlock",
    "Stm": "client.stm",
    "SyncClient": "client.sync",
    "TLS": "client.tls",
    "TriodeError": "errors",
    "TxnResult": "client.txn",
    "Unreachable": "client.errors",
    "Watch": "client.watch",
    "WatchCompacted": "client.errors",
    "connect": "client.client",
    "connect_sync": "client.sync",
    "delete": "client.ops",
    "from_key": "client.keys",
    "get": "client.ops",
    "key": "client.compares",
    "key_range": "client.keys",
    "nested": "client.ops",
    "open_node": "actors.node",
    "prefix": "client.keys",
    "put": "client.ops",
}


_MODULES = ("actors", "auth", "backends", "client", "config", "errors", "raft", "testing")
"""Those that people use by their path: `triode.errors.LeaseNotFound`, `triode.testing.cluster`."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
