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
    from .actors.node import Node, open_node
    from .client.client import Client, connect
    from .client.compares import key
    from .client.errors import LeaseLost, Locked, WatchCompacted
    from .client.keys import ALL_KEYS, Keys, from_key, key_range, prefix
    from .client.ops import delete, get, nested, put
    from .client.stm import Isolation, Stm
    from .client.sync import connect_sync
    from .client.tls import TLS
    from .client.watch_events import EventType
    from .config import Config
    from .errors import ConfigError, EtcdError, NodeError, TriodeError

__version__ = TRIODE_VERSION
__all__ = [
    "ALL_KEYS",
    "Client",
    "Config",
    "ConfigError",
    "EtcdError",
    "EventType",
    "Isolation",
    "Keys",
    "LeaseLost",
    "Locked",
    "Node",
    "NodeError",
    "Stm",
    "TLS",
    "TriodeError",
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
    "Client": "client.client",
    "Config": "config",
    "ConfigError": "errors",
    "EtcdError": "errors",
    "EventType": "client.watch_events",
    "Isolation": "client.stm",
    "Keys": "client.keys",
    "LeaseLost": "client.errors",
    "Locked": "client.errors",
    "Node": "actors.node",
    "NodeError": "errors",
    "Stm": "client.stm",
    "TLS": "client.tls",
    "TriodeError": "errors",
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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
