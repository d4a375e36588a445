"""What goes on in the background of a client, once for it and all clients that are made from it."""

from __future__ import annotations

import trio

from .contract import Channel
from .keepalive import KeepAlive
from .watch_hub import WatchHub

__all__ = ["Streams"]


class Streams:
    """The shared streams of a client. They are opened when they are needed, and end with its nursery.

    Attributes:
        watches: carries all watches.
        leases: keeps all leases alive.
    """

    def __init__(self, channel: Channel, nursery: trio.Nursery) -> None:
        self.watches = WatchHub(channel, nursery)
        self.leases = KeepAlive(channel, nursery)
