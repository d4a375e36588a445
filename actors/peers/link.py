"""All that connects this member with one other: an actor that owns its streams, its pipeline and its snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from ...raft.types import Message, MessageType
from ...rpc.peer_heads import MESSAGE, MSGAPP
from ..actor import Actor, Restart
from ..log import Log
from ..transport import Transport
from .client import PeerClient
from .codec import AppendDecoder, AppendEncoder, MessageDecoder, MessageEncoder
from .home import Home
from .pipeline import Pipeline
from .probing import Prober
from .reader import StreamReader
from .snapshot_sender import SnapshotSender
from .status import PeerStatus
from .urls import UrlPicker
from .writer import StreamWriter

__all__ = ["Link"]

log = Log("triode.peers")

APP, SNAP = MessageType.APP, MessageType.SNAP
HEARTBEATS_PER_READ_TIMEOUT = 3


class Link(Actor[None]):
    """The link to one member.

    A *remote* is a member that this one does not know yet, but was called by: it is answered by the pipeline alone.

    Attributes:
        dirty: something was queued since the last `flush`.
    """

    restart = Restart.PERMANENT
    mailbox_messages_max = 1

    def __init__(
        self, name: str, member: int, urls: Sequence[str], home: Home, *, remote: bool = False
    ) -> None:
        super().__init__(name=name)
        self.member = member
        self.remote = remote
        self.dirty = False
        self._home = home
        self._news = trio.Event()
        self._unreachable = False
        self._snapshot_lost = False
        self.urls = UrlPicker(urls)
        self.status = PeerStatus(member, home.world.clock.now, home.traffic)
        self.client = PeerClient(home, self.urls)
        lost = self._lost
        self._pipeline = Pipeline(member, home, self.status, self.client, lost)
        self._snapshots = SnapshotSender(
            member, home, self.status, self.client, self._snapshot_failed
        )
        writer = partial(StreamWriter, member=member, home=home, status=self.status)
        self.messages = writer("stream Message", make_encoder=MessageEncoder, on_unreachable=lost)
        self.appends = writer(
            "stream MsgApp v2",
            make_encoder=partial(AppendEncoder, home.memo),
            on_unreachable=lost,
        )
        reader = partial(
            StreamReader,
            member=member,
            home=home,
            urls=self.urls,
            status=self.status,
            client=self.client,
        )
        self._readers = (
            reader("stream Message", MESSAGE, make_decoder=self._message_decoder),
            reader("stream MsgApp v2", MSGAPP, make_decoder=self._append_decoder),
        )

    def _message_decoder(self) -> MessageDecoder:
        return MessageDecoder(self._home.owner.member_id, self.member)

    def _append_decoder(self) -> AppendDecoder:
        return AppendDecoder(self._home.owner.member_id, self.member)

    # --- called by the node -----------------------------------------------------------------------

    def queue(self, message: Message) -> None:
        """Take a message on the way that is there; what finds no room is dropped."""
        if message.type is SNAP:
            self._snapshots.send(message)
            return
        if message.type is APP and self.appends.working:
            taken = self.appends.queue(message)
        elif self.messages.working:
            taken = self.messages.queue(message)
        else:
            taken = self._pipeline.queue(message)
        if not taken:
            self._home.traffic.sent_failures[self.member] += 1
            if not self.remote:
                self._lost()

    def flush(self) -> None:
        """Write what was queued on the streams."""
        self.dirty = False
        self.appends.flush()
        self.messages.flush()

    def update(self, urls: Sequence[str]) -> None:
        """The member has other URLs."""
        if tuple(urls) != self.urls.urls:
            self.urls.update(urls)
            self.rearm()

    def rearm(self) -> None:
        """Dial at once."""
        for reader in self._readers:
            reader.rearm()

    async def serve(self, kind: str, transport: Transport) -> None:
        """Send a stream that the member has asked for, to its end."""
        writer = self.appends if kind == MSGAPP else self.messages
        self.rearm()  # a member that dials us can be dialled
        await writer.serve(transport)

    def _lost(self) -> None:
        """A message was lost: raft is told in the link's own task, once for many."""
        self._unreachable = True
        self._news.set()

    def _snapshot_failed(self) -> None:
        self._snapshot_lost = True
        self._lost()

    # --- the actor --------------------------------------------------------------------------------

    async def started(self) -> None:
        self.client.open(self.nursery)
        self._pipeline.kick()
        if not self.remote:
            for reader in self._readers:
                self.nursery.start_soon(reader.run)
            self.nursery.start_soon(Prober(self.member, self._home, self.client).run)

    async def run(self) -> None:
        """Tell of lost messages, keep the streams alive, and end those that are not."""
        now, owner = self._home.world.clock.now, self._home.owner
        interval = self._home.read_seconds_max / HEARTBEATS_PER_READ_TIMEOUT
        due = now() + interval
        while True:
            with trio.move_on_after(due - now()):
                await self._news.wait()
            self._news = trio.Event()
            if self._unreachable:
                self._unreachable = False
                owner.unreachable(self.member)
            if self._snapshot_lost:
                self._snapshot_lost = False
                owner.snapshot_sent(self.member, failed=True)
            late = now() - due
            if late < 0:
                continue
            due = now() + interval
            self.appends.heartbeat()
            self.messages.heartbeat()
            if late < interval:  # else this node was stopped: what came meanwhile waits to be read
                for reader in self._readers:
                    reader.check(now())

    def cleanup(self) -> None:
        self.client.close()
        self._pipeline.clear()
        self.appends.close()
        self.messages.close()
        self.status.active_since = None
        if self.remote and self.member not in self._home.counted:
            self._home.traffic.forget(self.member)
