from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from triode.rpc.grpc import GrpcClient, GrpcServer
from triode.rpc.grpc.client import ClientEvent
from triode.rpc.grpc.events import ServerEvent

UNARY = "/test.T/Unary"


class Pair:
    """A client and a server session whose bytes are carried over in pieces of `cut` bytes."""

    unary = UNARY
    stream = "/test.T/Stream"

    def __init__(self, cut: int = 1 << 20, client: Any = None, server: Any = None) -> None:
        self.cut = cut
        self.client = GrpcClient(authority="here:1", **(client or {}))
        self.server = GrpcServer(is_unary={UNARY}, **(server or {}))
        self.pump()

    def pump(self) -> tuple[list[ClientEvent], list[ServerEvent]]:
        """Carry bytes until both are silent; what each side was told meanwhile."""
        at_client: list[ClientEvent] = []
        at_server: list[ServerEvent] = []
        while True:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            if not up and not down:
                return at_client, at_server
            for at in range(0, len(up), self.cut):
                at_server += self.server.receive(up[at : at + self.cut])
            for at in range(0, len(down), self.cut):
                at_client += self.client.receive(down[at : at + self.cut])


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., Pair]:
    return Pair


@pytest.fixture
def pair() -> Pair:
    return Pair()
