"""Taking the whole state from the leader: POST /raft/snapshot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import h11

from ...errors import TriodeError
from ...raft.codec import decode_message
from ...raft.types import Message, MessageType
from ...rpc.http_reply import HttpReply, error_page
from ...rpc.peer_frames import SNAPSHOT_HEAD_BYTES_MAX, FrameError, SnapshotHead
from ..log import Log
from .home import Home, Refused

__all__ = ["receive_snapshot"]

log = Log("triode.peers")

RECEIVING_MAX: Final = 16
"""Snapshots that are received at once."""

NextPart = Callable[[], Awaitable[bytes | None]]


class _Answer(Exception):
    """The request ends with this reply."""

    def __init__(self, reply: HttpReply) -> None:
        super().__init__(reply.body)
        self.reply = reply


async def receive_snapshot(home: Home, next_part: NextPart) -> HttpReply:
    """Read the message and the image, and give both to the owner. Raises what `next_part` raises."""
    traffic, began = home.traffic, home.world.clock.now()
    try:
        message, rest = await _head(next_part)
    except (FrameError, ValueError) as error:
        traffic.received_failures[0] += 1
        traffic.snapshots_not_received[0] += 1
        return error_page(400, f"failed to decode raft message ({error})")
    sender = home.label(message.from_)
    received = False
    traffic.snapshots_being_received[sender] += 1
    try:
        _check(home, message)
        await _image(home, message, rest, next_part)
        received = True
    except _Answer as answer:
        log.warning("database snapshot refused", peer_id=f"{sender:x}", error=str(answer))
        return answer.reply
    finally:
        traffic.snapshots_being_received[sender] -= 1
        if not received:
            traffic.snapshots_not_received[sender] += 1
    traffic.snapshots_received[sender] += 1
    traffic.on_snapshot_received(sender, home.world.clock.now() - began)
    return HttpReply(204, [], b"")


async def _head(next_part: NextPart) -> tuple[Message, bytes]:
    """The raft message, and the first bytes of the image. Raises ValueError."""
    head = SnapshotHead(SNAPSHOT_HEAD_BYTES_MAX)
    while (part := await next_part()) is not None:
        found = head.feed(part)
        if found is not None:
            return decode_message(found), head.rest
    raise FrameError("unexpected EOF")


def _check(home: Home, message: Message) -> None:
    if message.type is not MessageType.SNAP or message.snapshot is None:
        raise _Answer(error_page(400, "wrong raft message type"))
    try:
        home.check(message, with_state=True)
    except Refused as refusal:
        from .server import forbidden

        raise _Answer(forbidden(str(refusal))) from None
    if sum(home.traffic.snapshots_being_received.values()) > RECEIVING_MAX:
        raise _Answer(error_page(503, "too many snapshots at once"))


async def _image(home: Home, message: Message, rest: bytes, next_part: NextPart) -> None:
    sender, total = home.label(message.from_), 0
    assert message.snapshot is not None
    index = message.snapshot.metadata.index
    log.info("receiving database snapshot", peer_id=f"{sender:x}", snapshot_index=index)
    try:
        incoming = home.owner.receive_snapshot(message)
    except TriodeError as error:
        raise _Answer(error_page(500, f"failed to save KV snapshot ({error})")) from error
    try:
        part: bytes | None = rest
        while part is not None:
            if part:
                incoming.write(part)
                total += len(part)
                home.traffic.received_bytes[sender] += len(part)
            part = await next_part()
    except TriodeError as error:
        _abandon(incoming.abandon)
        raise _Answer(error_page(500, f"failed to save KV snapshot ({error})")) from error
    except BaseException as error:  # cut, or this node stops
        _abandon(incoming.abandon)
        if isinstance(error, h11.RemoteProtocolError):
            log.warning("database snapshot was cut", peer_id=f"{sender:x}", bytes=total)
        raise
    try:
        await incoming.finish()
    except TriodeError as error:
        raise _Answer(error_page(500, f"failed to process raft message ({error})")) from error
    log.info(
        "received and saved database snapshot",
        peer_id=f"{sender:x}",
        snapshot_index=index,
        bytes=total,
    )


def _abandon(abandon: Callable[[], None]) -> None:
    try:
        abandon()
    except TriodeError as error:
        log.warning("cannot remove what there is of a snapshot", error=str(error))
