"""Large ranges, a page at a time, all pages of one revision."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from ..errors import Compacted, FutureRev
from ..rpc.pb.kv_pb2 import KeyValue
from ..rpc.pb.rpc_pb2 import RangeRequest, RangeResponse
from .call import Caller
from .errors import ScanCompacted
from .keys import KeysLike
from .requests import range_request

__all__ = ["PAGE_KEYS", "PagingCalls", "Scan"]

PAGE_KEYS: Final = 1000


class Scan:
    """An iterator over pairs. It holds one page in memory; it can be left at any time.

    Attributes:
        revision: the revision that is read; 0 before the first page has come, unless it was chosen.
    """

    def __init__(self, caller: Caller, request: RangeRequest, page_keys: int, limit: int) -> None:
        self._caller = caller
        self._request = request
        self._page_keys = page_keys
        self._left = limit
        self._page: list[KeyValue] = []
        self._more = True
        self._begun = False
        self.revision = request.revision

    def __aiter__(self) -> Scan:
        return self

    async def __anext__(self) -> KeyValue:
        while not self._page:
            page = await self.next_page()
            if page is None:
                raise StopAsyncIteration
            self._page = page[::-1]
        return self._page.pop()

    async def pages(self) -> AsyncIterator[list[KeyValue]]:
        """The rest, a page (a list of pairs) at a time."""
        if self._page:
            page, self._page = self._page[::-1], []
            yield page
        while (following := await self.next_page()) is not None:
            yield following

    async def next_page(self) -> list[KeyValue] | None:
        """The next page; None: that was all.

        Raises:
            ScanCompacted: the revision is gone; begin again.
        """
        request = self._request
        if not self._more:
            return None
        request.limit = min(self._page_keys, self._left) if self._left else self._page_keys
        try:
            response = await self._ask(request)
        except Compacted:
            raise ScanCompacted(
                request.revision, self._caller.keyspace.local(request.key)
            ) from None
        self.revision = request.revision = self.revision or response.header.revision
        pairs = list(response.kvs)
        if self._left:
            self._left -= len(pairs)
            self._more = response.more and self._left > 0
        else:
            self._more = response.more
        if pairs:
            request.key = pairs[-1].key + b"\0"
        self._caller.keyspace.strip(pairs)
        return pairs or None

    async def _ask(self, request: RangeRequest) -> RangeResponse:
        """Send it; once more if a member answers that is not as far as the one that gave the first page."""
        following = request.serializable and self._begun
        try:
            response: RangeResponse = await self._caller.call("KV/Range", request)
        except FutureRev:
            if not following:
                raise
            request.serializable = False
            response = await self._caller.call("KV/Range", request)
        self._begun = True
        return response


class PagingCalls(Caller):
    """The part of a client that reads large ranges."""

    def scan(
        self,
        keys: KeysLike,
        *,
        page_keys: int = PAGE_KEYS,
        limit: int = 0,
        revision: int = 0,
        keys_only: bool = False,
        serializable: bool = False,
    ) -> Scan:
        """All pairs of a range in the order of keys: `async for kv in client.scan(prefix("job/")): ...`.

        All pages are of one revision, that of the first, so that what is read is the state of one moment however
        long it takes.

        Args:
            keys: which.
            page_keys: so many pairs per request.
            limit: so many pairs at most; 0: all.
            revision: as they were then; 0: as they are now.
            keys_only: leave the values out.
            serializable: any member may answer from what it has, even if that is old. Pages after the first come
                from members that have its revision.

        Raises:
            ScanCompacted: while iterating: history was compacted beyond the revision; begin again.
            ValueError: `page_keys` is less than 1, or `limit` negative.
        """
        if page_keys < 1 or limit < 0:
            raise ValueError("a page has at least one pair, and a limit is not negative")
        request = range_request(
            self.keyspace, keys, revision=revision, keys_only=keys_only, serializable=serializable
        )
        return Scan(self, request, page_keys, limit)
