"""What other members ask for: one connection, and who is refused.

A request for a stream makes the connection that stream's: its transport goes to the link's writer, and no other request
follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import h11

from ...errors import TriodeError
from ...raft.codec import decode_message
from ...rpc.http_reply import HttpReply, error_page, method_not_allowed, not_found
from ...rpc.peer_heads import (
    CLUSTER_MISMATCH,
    MESSAGE,
    MSGAPP,
    PROBING,
    RAFT,
    SNAPSHOT,
    STREAM,
    incompatible,
    of_other_cluster,
    parse_id,
    sender_of,
)
from ..actor import Actor, Restart
from ..log import Log
from ..transport import Transport
from .home import Home, Refused
from .http_server import HttpServer, Request, TooLarge
from .link import Link
from .probing import probe_page
from .snapshot_receiver import receive_snapshot

__all__ = ["PeerConnection"]

log = Log("triode.peers")

CLUSTER_ID: Final = "X-Etcd-Cluster-ID"
PIPELINE_BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""A message of raft's by POST; those in use have a megabyte and one entry."""
ASK_BODY_BYTES_MAX: Final = 64 * 1024
"""Any other request; as in etcd."""


class Links(Protocol):
    """Where a connection finds the members."""

    def link(self, member: int) -> Link | None:
        """The link to a member of the cluster."""

    def add_remote(self, member: int, urls: Sequence[str]) -> None:
        """Somebody has called who is not known as a member."""


class PeerConnection(Actor[None]):
    """Serves one connection."""

    restart = Restart.TEMPORARY
    mailbox_messages_max = 1
    stop_seconds_max = 1.0

    def __init__(self, name: str, transport: Transport, home: Home, links: Links) -> None:
        super().__init__(name=name)
        self._home = home
        self._links = links
        self._transport = transport
        self._http = HttpServer(transport, home.read_seconds_max, home.write_seconds_max)

    def cleanup(self) -> None:
        self._transport.close()

    async def run(self) -> None:
        """Answer requests until either side ends the connection."""
        try:
            while (request := await self._http.next_request()) is not None:
                await self._answer(request)
            await self._http.take_leave()
        except h11.RemoteProtocolError as error:
            await self._http.refuse(error)
        except (OSError, h11.LocalProtocolError) as error:
            log.debug("peer connection ended", peer=self._transport.peer, error=str(error))

    # --- requests ---------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> None:
        path = request.path
        if path == RAFT:
            reply = await self._guarded(request, self._pipeline)
        elif path == SNAPSHOT:
            reply = await self._guarded(request, self._snapshot)
        elif path.startswith(STREAM):
            kind = path.rpartition("/")[0]
            found = self._stream_link(request)
            if isinstance(found, Link):
                await self._stream(kind, found)
                return
            reply = found
        elif path == PROBING:
            reply = probe_page(self._home.world.clock.wall())
        else:
            reply = await self._other(request)
        if not any(name.lower() == CLUSTER_ID.lower() for name, _ in reply.headers):
            reply.headers.append((CLUSTER_ID, f"{self._home.owner.cluster_id:x}"))
        await self._http.reply(reply, request.verb)

    async def _guarded(
        self, request: Request, answer: Callable[[Request], Awaitable[HttpReply]]
    ) -> HttpReply:
        """The checks that every message of raft's passes first."""
        if request.verb != "POST":
            return method_not_allowed("POST")
        wrong = self._incompatible(request)
        if wrong is not None:
            return wrong
        sender = sender_of(request.headers)
        if sender is not None:
            self._links.add_remote(*sender)
        return await answer(request)

    def _incompatible(self, request: Request) -> HttpReply | None:
        home = self._home
        wrong = incompatible(request.headers, home.owner.cluster_id, home.version)
        if wrong is None:
            return None
        self._log_refused(request, wrong)
        return error_page(412, wrong)

    def _log_refused(self, request: Request, wrong: str) -> None:
        log.warning(
            "request of a peer refused",
            peer=self._transport.peer,
            reason=wrong,
            peer_server_from=request.headers.get("x-server-from", ""),
            peer_cluster_id=request.headers.get("x-etcd-cluster-id", ""),
        )

    async def _pipeline(self, request: Request) -> HttpReply:
        home = self._home
        sender = home.label(parse_id(request.headers.get("x-server-from", "")) or 0)
        try:
            body = await self._http.body(request, PIPELINE_BODY_BYTES_MAX)
            message = decode_message(body)
        except TooLarge:
            home.traffic.received_failures[sender] += 1
            return error_page(413, "raft message too large")
        except ValueError:
            home.traffic.received_failures[sender] += 1
            return error_page(400, "error unmarshalling raft message")
        home.traffic.received_bytes[home.label(message.from_)] += len(body)
        try:
            home.check(message)
        except Refused as refusal:
            home.traffic.received_failures[home.label(message.from_)] += 1
            return forbidden(str(refusal))
        home.owner.step(message)
        return HttpReply(204, [], b"")

    async def _snapshot(self, _request: Request) -> HttpReply:
        return await receive_snapshot(self._home, self._http.body_part)

    async def _other(self, request: Request) -> HttpReply:
        try:
            body = await self._http.body(request, ASK_BODY_BYTES_MAX)
        except TooLarge:
            return error_page(413, "request body too large")
        if of_other_cluster(request.headers, self._home.owner.cluster_id):
            self._log_refused(request, CLUSTER_MISMATCH)
            return error_page(412, CLUSTER_MISMATCH)
        try:
            reply = await self._home.owner.answer(request.verb, request.target, body)
        except TriodeError as error:
            return error_page(500, str(error))
        if reply is None:
            return not_found()
        return HttpReply(reply.status, list(reply.headers.items()), reply.body)

    # --- streams ----------------------------------------------------------------------------------

    def _stream_link(self, request: Request) -> Link | HttpReply:
        """Whose stream is asked for, or what to answer instead."""
        if request.verb != "GET":
            return method_not_allowed()
        kind, _, member = request.path.rpartition("/")
        wrong = self._incompatible(request)
        if wrong is not None:
            return wrong
        if kind not in (MESSAGE, MSGAPP):
            return error_page(404, "invalid path")
        sender = parse_id(member)
        if sender is None:
            return error_page(404, "invalid from")
        owner = self._home.owner
        if owner.is_removed(sender):
            log.warning("rejected stream from remote peer because it was removed", peer_id=member)
            return error_page(410, "removed member")
        link = self._links.link(sender)
        if link is None:
            named = sender_of({**request.headers, "x-server-from": member})
            if named is not None:
                self._links.add_remote(*named)
            log.warning("failed to find remote peer in cluster", peer_id=member)
            return error_page(404, "error sender not found")
        if request.headers.get("x-raft-to", "") != f"{owner.member_id:x}":
            return error_page(412, "to field mismatch")
        return link

    async def _stream(self, kind: str, link: Link) -> None:
        headers = [
            ("X-Server-Version", self._home.version),
            (CLUSTER_ID, f"{self._home.owner.cluster_id:x}"),
        ]
        await self._http.begin_stream(headers)
        await link.serve(kind, self._transport)


def forbidden(text: str) -> HttpReply:
    """403 as etcd words it, in JSON."""
    body = b'{"message":"%b"}' % text.encode()
    return HttpReply(403, [("Content-Type", "application/json")], body)
