"""Sending the whole state to a member that is too far behind: POST /raft/snapshot.

The body is the raft message behind its length, then the image of the database. It is sent in the pieces that the owner
makes, with a turn of the event loop after each, so that nothing else waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from ...errors import TriodeError
from ...raft.codec import encode_message
from ...raft.types import Message
from ...rpc.peer_frames import length_frame
from ...rpc.peer_heads import SNAPSHOT, headers_of
from ..log import Log
from .client import HttpExchange, PeerClient, refuse_strangers, write_all
from .contract import OutgoingSnapshot, PeerReply
from .home import Home
from .pipeline import posted
from .status import PeerStatus

__all__ = ["SNAPSHOTS_IN_FLIGHT_MAX", "SnapshotSender"]

log = Log("triode.peers")

SNAPSHOTS_IN_FLIGHT_MAX: Final = 16
"""Snapshots that a node sends at once, to all members, as in etcd."""
REPLY_SECONDS_MAX: Final = 60.0
"""For the receiver to make it durable and to answer."""
_OCTETS: Final = ("Content-Type", "application/octet-stream")


class SnapshotSender:
    """Sends snapshots to one member, one at a time."""

    def __init__(
        self,
        member: int,
        home: Home,
        status: PeerStatus,
        client: PeerClient,
        on_failed: Callable[[], None],
    ) -> None:
        self._member = member
        self._home = home
        self._status = status
        self._client = client
        self._on_failed = on_failed
        self._sending = False

    def send(self, message: Message) -> None:
        """Begin to send. The owner is told what becomes of it, never before this returns."""
        home, nursery = self._home, self._client.nursery
        busy = self._sending or home.snapshots_in_flight >= SNAPSHOTS_IN_FLIGHT_MAX
        if nursery is None or busy:
            home.traffic.snapshots_not_sent[self._member] += 1
            self._on_failed()
            return
        self._sending = True
        home.snapshots_in_flight += 1
        nursery.start_soon(self._send, message)

    async def _send(self, message: Message) -> None:
        home, member = self._home, self._member
        traffic, began = home.traffic, home.world.clock.now()
        traffic.snapshots_being_sent[member] += 1
        sent = False
        try:
            outgoing = home.owner.open_snapshot()
            try:
                await self._post(message, outgoing)
            finally:
                outgoing.close()
            sent = True
        except (OSError, TriodeError) as error:
            log.warning("failed to send database snapshot", peer_id=f"{member:x}", error=str(error))
            self._status.deactivate("snapshot", error)
            traffic.sent_failures[member] += 1
        finally:  # also when the link is cancelled: its next incarnation tells
            self._sending = False
            home.snapshots_in_flight -= 1
            traffic.snapshots_being_sent[member] -= 1
            if not sent:
                traffic.snapshots_not_sent[member] += 1
                self._on_failed()
        if sent:
            self._status.activate()
            traffic.snapshots_sent[member] += 1
            traffic.on_snapshot_sent(member, home.world.clock.now() - began)
            home.owner.snapshot_sent(member, failed=False)

    async def _post(self, message: Message, outgoing: OutgoingSnapshot) -> None:
        """Raises OSError when it was not taken."""
        home = self._home
        snapshot, image_bytes = outgoing.snapshot, await outgoing.size()
        head = length_frame(encode_message(attrs.evolve(message, snapshot=snapshot)))
        log.info(
            "sending database snapshot",
            peer_id=f"{self._member:x}",
            snapshot_index=snapshot.metadata.index,
            bytes=image_bytes,
        )
        async with self._client.exchange(None) as http:
            headers = [*home.identity.headers(), _OCTETS]
            size = len(head) + image_bytes
            first = http.head("POST", SNAPSHOT, headers, size)
            await write_all(http.transport, first + head, home.write_seconds_max)
            sent = 0
            for piece in outgoing.chunks():
                sent += len(piece)
                if sent > image_bytes:
                    break
                await write_all(http.transport, piece, home.write_seconds_max)
                home.traffic.sent_bytes[self._member] += len(piece)
                await trio.lowlevel.checkpoint()
            if sent != image_bytes:
                raise OSError(f"an image of {sent} bytes instead of {image_bytes}")
            reply = await _reply(http)
            refuse_strangers(reply, home.identity.cluster_id)
            posted(reply, self._member, home)


async def _reply(http: HttpExchange) -> PeerReply:
    """The receiver's word; raises OSError, also when it takes too long."""
    with trio.move_on_after(REPLY_SECONDS_MAX):
        head = await http.reply_head()
        return PeerReply(head.status_code, headers_of(head.headers), await http.reply_body())
    raise TimeoutError("the peer has the snapshot but does not answer")
