"""The incoming half of a stream: dial the peer, and hand its messages to raft as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import trio

from ...rpc.peer_chunks import Unchunker
from ...rpc.peer_heads import CLUSTER_MISMATCH, INCOMPATIBLE, headers_of
from ..log import Log
from ..policy import Backoff
from ..transport import Transport
from .client import HttpExchange, PeerClient, refuse_strangers, write_all
from .codec import AppendDecoder, MessageDecoder
from .contract import PeerReply
from .home import Home
from .status import PeerStatus
from .urls import UrlPicker

__all__ = ["StreamReader"]

log = Log("triode.peers")

BACKOFF: Final = Backoff(seconds_min=0.1, seconds_max=1.0)
"""etcd dials ten times a second; a peer that comes back dials us, and is dialled at once then."""
STEADY_SECONDS_MIN: Final = 1.0
"""A stream that has lived so long makes the back-off start over."""
_WRONG: Final = {CLUSTER_MISMATCH, INCOMPATIBLE}


class StreamRefused(OSError):
    """The peer does not give us the stream."""


class StreamReader:
    """One of the two streams from a member; `run` is a task of its link."""

    def __init__(
        self,
        kind: str,
        path: str,
        member: int,
        home: Home,
        urls: UrlPicker,
        status: PeerStatus,
        client: PeerClient,
        make_decoder: Callable[[], MessageDecoder | AppendDecoder],
    ) -> None:
        self.kind = kind
        self._path = path
        self._member = member
        self._home = home
        self._urls = urls
        self._status = status
        self._client = client
        self._make_decoder = make_decoder
        self._transport: Transport | None = None
        self._heard_at = 0.0
        self._timed_out = False
        self._again = trio.Event()

    def rearm(self) -> None:
        """Dial again without waiting for the back-off."""
        self._again.set()

    def check(self, now: float) -> None:
        """End the stream if nothing has come on it for too long; called now and then."""
        if self._transport is not None and now - self._heard_at > self._home.read_seconds_max:
            self._timed_out = True
            self._transport.close()

    async def run(self) -> None:
        """Dial, read, and dial again, for ever."""
        failures = 0
        now = self._home.world.clock.now
        while True:
            url, began = "", now()
            try:
                url = self._urls.pick()
                await self._stream(url)
            except OSError as error:
                if not isinstance(error, StreamRefused) or self._status.active_since is not None:
                    log.debug("no stream", peer_id=f"{self._member:x}", error=str(error))
                self._urls.failed(url)
                self._status.deactivate(self.kind, error)
            except ValueError as error:
                self._home.traffic.received_failures[self._member] += 1
                self._status.deactivate(self.kind, error)
            failures = 1 if now() - began >= STEADY_SECONDS_MIN else failures + 1
            self._again = trio.Event()
            with trio.move_on_after(BACKOFF.delay_seconds(failures, self._home.world.random)):
                await self._again.wait()
                failures = 0
                await trio.sleep(BACKOFF.seconds_min / 10)  # whoever wakes us may not be fast

    async def _stream(self, url: str) -> None:
        """One connection, to its end."""
        http = await self._client.connect(url)
        try:
            with trio.fail_after(self._home.read_seconds_max):
                unchunk = await self._request(http, url)
            self._status.activate()
            log.info(
                "established TCP streaming connection with remote peer",
                stream_reader=self.kind,
                peer_id=f"{self._member:x}",
            )
            await self._read(http, unchunk)
        except trio.TooSlowError:
            raise TimeoutError(f"{url} did not answer in time") from None
        finally:
            self._transport = None
            http.transport.close()

    async def _request(self, http: HttpExchange, url: str) -> Unchunker | None:
        """Ask for the stream; returns what takes its coding off. Raises OSError."""
        home = self._home
        identity = home.identity
        target = f"{self._path}/{identity.member_id:x}"
        head = http.head("GET", target, identity.headers(self._member), 0)
        await write_all(http.transport, head, home.write_seconds_max)
        reply = await http.reply_head()
        headers = headers_of(reply.headers)
        refuse_strangers(PeerReply(reply.status_code, headers, b""), identity.cluster_id)
        if reply.status_code == 200:
            coding = headers.get("transfer-encoding", "")
            return Unchunker() if coding.lower() == "chunked" else None
        if reply.status_code == 410:
            home.told_removed(self._member)
        text = (await http.reply_body()).decode("utf-8", "replace").strip()
        if reply.status_code == 412 and text in _WRONG:
            log.error(
                "request sent was ignored by remote peer",
                peer_id=f"{self._member:x}",
                peer=urlsplit(url).netloc,
                reason=text,
            )
        raise StreamRefused(f"{reply.status_code} {text}")

    async def _read(self, http: HttpExchange, unchunk: Unchunker | None) -> None:
        transport = self._transport = http.transport
        home, member = self._home, self._member
        now, received = home.world.clock.now, home.traffic.received_bytes
        decoder = self._make_decoder()
        data = http.received_beyond
        self._heard_at = now()
        self._timed_out = False
        while True:
            if data:
                received[member] += len(data)
                messages = decoder.feed(data if unchunk is None else unchunk.feed(data))
                if messages:
                    home.step_all(member, messages)
                if unchunk is not None and unchunk.ended:
                    return
            data = await transport.receive()
            if not data:
                if self._timed_out:
                    raise TimeoutError("nothing was heard on the stream")
                return
            self._heard_at = now()
