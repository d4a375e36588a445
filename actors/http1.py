"""HTTP/1.1."""

from __future__ import annotations

from .context import NodeContext
from .dispatch import Dispatcher
from .outbox import Outbox
from .transport import Transport


class Http1Settings:
    def __init__(self, node: NodeContext, dispatcher: Dispatcher, outbox: Outbox) -> None:
        self.node = node


class Http1Connection:
    def __init__(self, transport: Transport, settings: Http1Settings) -> None:
        self._transport = transport
        self.idle = True

    async def run(self, first_bytes: bytes) -> None:
        return

    def shut_down(self) -> None:
        return
