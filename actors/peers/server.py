"""The server's side of the peer protocol: one connection from another member.

h11 keeps HTTP/1.1. A request for a stream makes the connection that stream's: its transport goes to the link's writer, and
no other request follows. Bodies and heads are bounded, and whoever begins a request must go on with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Protocol

import h11
import trio

from ...errors import TriodeError
from ...raft.codec import decode_message
from ...rpc.http_reply import HttpReply, error_page, method_not_allowed, not_found
from ...rpc.peer_heads import (
    MESSAGE,
    MSGAPP,
    PROBING,
    RAFT,
    SNAPSHOT,
    STREAM,
    headers_of,
    incompatible,
    parse_id,
    sender_of,
)
from ..actor import Actor, Restart
from ..log import Log
from ..transport import Transport
from .client import write_all
from .home import Home, Refused
from .link import Link
from .probing import probe_page
from .snapshot_receiver import receive_snapshot

__all__ = ["PeerConnection"]

log = Log("triode.peers")

HEADER_BYTES_MAX: Final = 64 * 1024
PIPELINE_BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""A message of raft's by POST; those in use have a megabyte and one entry."""
ASK_BODY_BYTES_MAX: Final = 64 * 1024
"""Any other request; as in etcd."""
HEAD_SECONDS_MAX: Final = 30.0
"""From the end of a reply to the end of the next request's head."""
BODY_SECONDS_MAX: Final = 60.0
"""For all of a body but a snapshot's, which may take long as long as it goes on."""
FAREWELL_SECONDS_MAX: Final = 1.0


class Links(Protocol):
    """Where a connection finds the members."""

    def link(self, member: int) -> Link | None:
        """The link to a member of the cluster."""

    def add_remote(self, member: int, urls: Sequence[str]) -> None:
        """Somebody has called who is not known as a member."""


class TooLarge(Exception):
    """A body beyond its limit."""


class PeerConnection(Actor[None]):
    """Serves one connection."""

    restart = Restart.TEMPORARY
    mailbox_messages_max = 1
    stop_seconds_max = 1.0

    def __init__(self, name: str, transport: Transport, home: Home, links: Links) -> None:
        super().__init__(name=name)
        self._transport = transport
        self._home = home
        self._links = links
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        self._headers: dict[str, str] = {}

    def cleanup(self) -> None:
        self._transport.close()

    async def run(self) -> None:
        """Answer requests until either side ends the connection."""
        pump = getattr(self._transport, "pump", None)
        if pump is not None:
            self.nursery.start_soon(pump)
        try:
            while (request := await self._next_request()) is not None:
                await self._answer(request)
                if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
                    break
                self._h11.start_next_cycle()
            await self._take_leave()
        except h11.RemoteProtocolError as error:
            with suppress(h11.LocalProtocolError, OSError):
                await self._reply(error_page(error.error_status_hint, "Bad Request"))
                await self._take_leave()
        except (OSError, h11.LocalProtocolError) as error:
            log.debug("peer connection ended", peer=self._transport.peer, error=str(error))

    # --- bytes ------------------------------------------------------------------------------------

    async def _next_event(self, seconds_max: float) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            with trio.move_on_after(seconds_max) as waiting:
                self._h11.receive_data(await self._transport.receive())
            if waiting.cancelled_caught:
                raise TimeoutError("the peer does not go on")
        return event

    async def _next_request(self) -> h11.Request | None:
        with trio.move_on_after(HEAD_SECONDS_MAX):
            event = await self._next_event(HEAD_SECONDS_MAX)
            return event if isinstance(event, h11.Request) else None
        return None

    async def body_part(self) -> bytes | None:
        """The next part of the body; None at its end. Raises OSError and RemoteProtocolError."""
        event = await self._next_event(self._home.read_seconds_max)
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _body(self, bytes_max: int) -> bytes:
        announced = self._headers.get("content-length", "0")
        if len(announced) > 18 or int(announced) > bytes_max:  # h11 has seen that it is a number
            raise TooLarge
        parts: list[bytes] = []
        size = 0
        with trio.move_on_after(BODY_SECONDS_MAX):
            while (part := await self.body_part()) is not None:
                parts.append(part)
                size += len(part)
                if size > bytes_max:
                    raise TooLarge
            return b"".join(parts)
        raise TimeoutError("the body takes too long")

    async def _send(self, *events: Any) -> None:
        data = b"".join([self._h11.send(event) or b"" for event in events])
        await write_all(self._transport, data, self._home.write_seconds_max)

    async def _reply(self, reply: HttpReply, verb: str = "GET") -> None:
        headers = list(reply.headers)
        if not any(name.lower() == "x-etcd-cluster-id" for name, _ in headers):
            headers.append(("X-Etcd-Cluster-ID", f"{self._home.owner.cluster_id:x}"))
        if reply.status != 204:
            headers.append(("Content-Length", str(len(reply.body))))
        self._skip_body()
        if self._h11.their_state is h11.SEND_BODY:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(reply.status).phrase.encode()
        head = h11.Response(status_code=reply.status, headers=headers, reason=reason)
        body = b"" if verb == "HEAD" else reply.body
        await self._send(head, h11.Data(data=body), h11.EndOfMessage())

    def _skip_body(self) -> None:
        """Pass over what has come of a body that nobody wanted; no more is awaited."""
        while self._h11.their_state is h11.SEND_BODY:
            if self._h11.next_event() in (h11.NEED_DATA, h11.PAUSED):
                return

    async def _take_leave(self) -> None:
        """Let the peer read the reply before what it still sends resets the connection."""
        self._transport.end_writing()
        with trio.move_on_after(FAREWELL_SECONDS_MAX):
            while await self._transport.receive():
                pass

    # --- requests ---------------------------------------------------------------------------------

    async def _answer(self, request: h11.Request) -> None:
        verb = request.method.decode("ascii")
        target = request.target.decode("latin-1")
        path = target.partition("?")[0]
        self._headers = headers_of(request.headers)
        if path == RAFT:
            reply = await self._guarded(verb, "POST", self._pipeline)
        elif path == SNAPSHOT:
            reply = await self._guarded(verb, "POST", self._snapshot)
        elif path.startswith(STREAM):
            kind, _, member = path.rpartition("/")
            if verb != "GET":
                reply = method_not_allowed()
            else:
                found = self._stream_link(kind, member)
                if isinstance(found, Link):
                    await self._stream(kind, found)
                    return
                reply = found
        elif path == PROBING:
            reply = probe_page(self._home.world.clock.wall())
        else:
            reply = await self._other(verb, target)
        await self._reply(reply, verb)

    async def _guarded(self, verb: str, allowed: str, answer: Any) -> HttpReply:
        """The checks that every message of raft's passes first."""
        if verb != allowed:
            return method_not_allowed(allowed)
        wrong = self._incompatible()
        if wrong is not None:
            return wrong
        sender = sender_of(self._headers)
        if sender is not None:
            self._links.add_remote(*sender)
        reply: HttpReply = await answer()
        return reply

    def _incompatible(self) -> HttpReply | None:
        home = self._home
        wrong = incompatible(self._headers, home.owner.cluster_id, home.version)
        if wrong is None:
            return None
        log.warning(
            "request of a peer refused",
            peer=self._transport.peer,
            reason=wrong,
            peer_server_from=self._headers.get("x-server-from", ""),
            peer_cluster_id=self._headers.get("x-etcd-cluster-id", ""),
        )
        return error_page(412, wrong)

    async def _pipeline(self) -> HttpReply:
        home = self._home
        sender = home.label(parse_id(self._headers.get("x-server-from", "")) or 0)
        try:
            body = await self._body(PIPELINE_BODY_BYTES_MAX)
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

    async def _snapshot(self) -> HttpReply:
        return await receive_snapshot(self._home, self.body_part)

    async def _other(self, verb: str, target: str) -> HttpReply:
        try:
            body = await self._body(ASK_BODY_BYTES_MAX)
        except TooLarge:
            return error_page(413, "request body too large")
        try:
            reply = await self._home.owner.answer(verb, target, body)
        except TriodeError as error:
            return error_page(500, str(error))
        if reply is None:
            return not_found()
        return HttpReply(reply.status, list(reply.headers.items()), reply.body)

    # --- streams ----------------------------------------------------------------------------------

    def _stream_link(self, kind: str, member: str) -> Link | HttpReply:
        """Whose stream is asked for, or what to answer instead."""
        wrong = self._incompatible()
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
            named = sender_of({**self._headers, "x-server-from": member})
            if named is not None:
                self._links.add_remote(*named)
            log.warning("failed to find remote peer in cluster", peer_id=member)
            return error_page(404, "error sender not found")
        if self._headers.get("x-raft-to", "") != f"{owner.member_id:x}":
            return error_page(412, "to field mismatch")
        return link

    async def _stream(self, kind: str, link: Link) -> None:
        headers = [
            ("X-Server-Version", self._home.version),
            ("X-Etcd-Cluster-ID", f"{self._home.owner.cluster_id:x}"),
            ("Transfer-Encoding", "chunked"),
        ]
        await self._send(h11.Response(status_code=200, headers=headers, reason=b"OK"))
        await link.serve(kind, self._transport)


def forbidden(text: str) -> HttpReply:
    """403 as etcd words it, in JSON."""
    body = b'{"message":"%b"}' % text.encode()
    return HttpReply(403, [("Content-Type", "application/json")], body)
