"""Messages by POST /raft, one each: for when there is no stream yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from ...raft.codec import encode_message
from ...raft.types import Message
from ...rpc.peer_heads import RAFT
from .client import PeerClient
from .contract import PeerReply
from .home import Home
from .status import PeerStatus

__all__ = ["PIPELINE_MESSAGES_MAX", "Pipeline", "posted"]

PIPELINE_MESSAGES_MAX: Final = 64
"""Messages that wait for a connection, as in etcd."""
PIPELINE_CONNECTIONS_MAX: Final = 4
POST_SECONDS_MAX: Final = 5.0
_PROTOBUF: Final = (("Content-Type", "application/protobuf"),)


def posted(reply: PeerReply, member: int, home: Home) -> None:
    """Judge the reply to a POST of raft's; raises OSError if it was not taken."""
    if reply.status == 204:
        return
    text = reply.body.decode("utf-8", "replace").strip()
    # etcd stops at any 403, also when it was posted to a member that is not the one it thought.
    if reply.status == 403 and "removed member" in text:
        home.told_removed(member)
    raise ConnectionRefusedError(f"{reply.status} {text}")


class Pipeline:
    """The pipeline to one member. Up to four are posted at once, so that their order may change."""

    def __init__(
        self,
        member: int,
        home: Home,
        status: PeerStatus,
        client: PeerClient,
        on_unreachable: Callable[[], None],
    ) -> None:
        self._member = member
        self._home = home
        self._status = status
        self._client = client
        self._on_unreachable = on_unreachable
        self._messages: deque[Message] = deque()
        self._workers = 0

    def queue(self, message: Message) -> bool:
        """Keep a message; False when there is no room."""
        if len(self._messages) >= PIPELINE_MESSAGES_MAX:
            return False
        self._messages.append(message)
        self.kick()
        return True

    def kick(self) -> None:
        """See that somebody works on it, as soon as the link runs."""
        nursery = self._client.nursery
        if nursery is not None and self._messages and self._workers < PIPELINE_CONNECTIONS_MAX:
            self._workers += 1
            nursery.start_soon(self._work)

    async def _work(self) -> None:
        try:
            while self._messages:
                await self._post(self._messages.popleft())
        finally:
            self._workers -= 1

    async def _post(self, message: Message) -> None:
        body = encode_message(message)
        try:
            reply = await self._client.request(
                "POST", RAFT, _PROTOBUF, body, seconds_max=POST_SECONDS_MAX
            )
            posted(reply, self._member, self._home)
        except OSError as error:
            self._status.deactivate("pipeline", error)
            self._home.traffic.sent_failures[self._member] += 1
            self._on_unreachable()
            await trio.lowlevel.checkpoint()
        else:
            self._status.activate()
            self._home.traffic.sent_bytes[self._member] += len(body)

    def clear(self) -> None:
        """Drop what waits."""
        self._messages.clear()
