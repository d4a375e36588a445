"""The real links to the other members: etcd's peer protocol over HTTP/1.1. See docs/peers.md.

`HttpPeers` is a supervisor. Its children are a `Link` for each member, which dials the streams that this node receives,
and a `PeerConnection` for each connection from outside, on which the others receive theirs. Addresses are
bound when it is made, so that one in use is told at once, and served from its start on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import trio

from ...config import Config
from ...errors import ConfigError
from ...raft.types import Message
from ..errors import ActorStopped
from ..listener import Bound, bind, serve
from ..log import Log
from ..supervisor import Supervisor
from ..transport import Transport
from ..world import TcpNetwork, World
from .contract import PeerOwner, PeerReply
from .dial import check_peer_url, transport_of
from .home import Home
from .link import Link
from .server import PeerConnection
from .status import PeerTraffic

__all__ = ["HttpPeers"]

log = Log("triode.peers")

CONNECTIONS_MAX: Final = 1024
"""Connections from other members; each has two streams, a few for posts, and probes."""
REMOTES_MAX: Final = 64
"""Callers that are not known as members, but are answered; the oldest makes room."""


class HttpPeers(Supervisor):
    """The links of one node; implements `Peers`.

    Raises:
        AddressInUse: somebody else listens on a peer URL.
        ConfigError: a peer URL is not one that can be listened on.
    """

    def __init__(self, owner: PeerOwner, config: Config, world: World) -> None:
        super().__init__("peers", random=world.random)
        for url in config.listen_peer_urls:
            if urlsplit(url).scheme != "http":
                raise ConfigError(f"listen-peer-urls: {url!r}: only http is supported yet")
        self._home = Home(owner, world, config)
        self._links: dict[int, Link] = {}
        self._remotes: dict[int, Link] = {}
        self._numbers = itertools.count(1)
        self._listeners: list[trio.abc.Listener[trio.abc.Stream]] = []
        sockets = isinstance(world.network, TcpNetwork)
        self.bound: list[Bound] = bind(config.listen_peer_urls) if sockets else []

    @property
    def traffic(self) -> PeerTraffic:
        """What has been exchanged, for the metrics."""
        return self._home.traffic

    @property
    def ports(self) -> list[int]:
        """The ports that peers can connect to, in the order of `listen-peer-urls`."""
        return [one.port for one in self.bound]

    @property
    def known(self) -> Sequence[int]:
        """The members that are talked to."""
        return tuple(self._links)

    # --- Peers ------------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        """See `Peers`."""
        links, touched = self._links, []
        for message in messages:
            link = links.get(message.to) or self._remotes.get(message.to)
            if link is None:
                continue
            link.queue(message)
            if not link.dirty:
                link.dirty = True
                touched.append(link)
        for link in touched:
            link.flush()

    def add(self, member: int, peer_urls: Sequence[str]) -> None:
        """See `Peers`. URLs that cannot be talked to are told, and fail when they are dialled."""
        for url in peer_urls:
            try:
                check_peer_url(url)
            except ConfigError as error:
                log.warning("a member cannot be reached", peer_id=f"{member:x}", error=str(error))
        link = self._links.get(member)
        if link is not None:
            link.update(peer_urls)
            return
        self._drop(self._remotes.pop(member, None))
        self._links[member] = self._start_link(member, peer_urls, remote=False)

    def remove(self, member: int) -> None:
        """See `Peers`."""
        self._drop(self._links.pop(member, None))
        self._drop(self._remotes.pop(member, None))

    def active_since(self, member: int) -> float | None:
        """See `Peers`."""
        link = self._links.get(member)
        return None if link is None else link.status.active_since

    def rearm(self) -> None:
        """See `Peers`."""
        for link in self._links.values():
            link.rearm()

    async def ask(
        self, member: int, verb: str, target: str, body: bytes = b"", *, seconds_max: float = 5.0
    ) -> PeerReply:
        """See `Peers`."""
        link = self._links.get(member)
        if link is None:
            raise OSError(f"{member:x} is not a member that is talked to")
        failure: OSError | None = None
        with trio.move_on_after(seconds_max):
            for _ in link.urls.urls:
                try:
                    return await link.client.request(
                        verb, target, body=body, seconds_max=seconds_max
                    )
                except OSError as error:
                    failure = error
        raise failure or TimeoutError(f"{member:x} did not answer in time")

    # --- for the connections ----------------------------------------------------------------------

    def link(self, member: int) -> Link | None:
        """The link to a member of the cluster."""
        return self._links.get(member)

    def add_remote(self, member: int, urls: Sequence[str]) -> None:
        """Be able to answer somebody who is not known as a member: this node may be behind."""
        owner = self._home.owner
        if member in self._links or member in self._remotes or member == owner.member_id:
            return
        if owner.is_removed(member):
            return
        try:
            for url in urls:
                check_peer_url(url)
        except ConfigError as error:
            log.warning(
                "ignored the peer URLs of a caller", peer_id=f"{member:x}", error=str(error)
            )
            return
        if len(self._remotes) >= REMOTES_MAX:
            self._drop(self._remotes.pop(next(iter(self._remotes))))
        self._remotes[member] = self._start_link(member, urls, remote=True)

    # --- life -------------------------------------------------------------------------------------

    def _start_link(self, member: int, urls: Sequence[str], *, remote: bool) -> Link:
        if not remote:
            self._home.counted.add(member)
        name = f"{'remote' if remote else 'link'}-{next(self._numbers)} {member:x}"
        link = Link(name, member, urls, self._home, remote=remote)
        self._start_later(link)
        return link

    def _start_later(self, link: Link) -> None:
        """Now if this runs, else with it."""
        try:
            self.start_child_nowait(link)
        except ActorStopped:
            self._add(link)

    def _drop(self, link: Link | None) -> None:
        if link is not None:
            link.stop()

    async def started(self) -> None:
        await super().started()
        network, config = self._home.world.network, self._home.config
        for one in self.bound:
            self.nursery.start_soon(serve, one, self._accept)
            log.info("serving peer traffic", url=one.url, port=one.port)
        if not isinstance(network, TcpNetwork):
            for url in config.listen_peer_urls:
                parts = urlsplit(url)
                listeners = await network.listen(parts.hostname or "", parts.port or 0)
                for listener in listeners:
                    self.nursery.start_soon(self._serve_streams, listener)

    async def _serve_streams(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        async with listener:
            while True:
                # the nursery is this actor's: a connection that ends before it ran closes its stream, too
                self._accept(transport_of(await listener.accept(), self.nursery))

    def _accept(self, transport: Transport) -> None:
        if len(self._cells) >= CONNECTIONS_MAX:
            transport.close()
            return
        name = f"connection-{next(self._numbers)} {transport.peer}"
        try:
            self.start_child_nowait(PeerConnection(name, transport, self._home, self))
        except ActorStopped:
            transport.close()

    async def stopping(self) -> None:
        self.close()
        await super().stopping()

    def _closed(self) -> None:
        super()._closed()
        self.close()

    def close(self) -> None:
        """Stop listening: for links that were made and never ran."""
        for one in self.bound:
            one.close()
