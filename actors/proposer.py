"""How a request becomes a proposal: given an identity, bounded in size, mailed to the raft peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import RequestTooLarge, TooManyRequests
from . import proposals
from .call import Call, Waiter
from .errors import MailboxFull
from .proposals import RequestIds
from .raft_mail import ProposeAsLeader

__all__ = ["Proposer"]

REQUEST_SECONDS_BASE = 5.0  # etcd's: 5 s plus two election timeouts


class Proposer:
    """Wraps requests for the log; safe to call from any synchronous code of the node."""

    def __init__(
        self,
        tell: Callable[[Call | ProposeAsLeader], None],
        ids: RequestIds,
        *,
        request_bytes_max: int,
        election_seconds: float,
    ) -> None:
        self._tell = tell
        self._ids = ids
        self._next_header = ids.header
        self._request_bytes_max = request_bytes_max
        self.timeout_seconds = REQUEST_SECONDS_BASE + 2 * election_seconds

    def propose(self, call: Call, kind: int, request: Any, message: bytes) -> None:
        """Propose `request`, whose encoding is `message`; the answer goes to the call's sink.

        Raises:
            RequestTooLarge: more than `max-request-bytes`.
            TooManyRequests: the raft peer has more waiting than its mailbox holds.
        """
        data = proposals.encode(kind, message, self._next_header())
        if len(data) > self._request_bytes_max:
            raise RequestTooLarge
        call.kind = kind
        call.request = request
        call.data = data
        call.request_id = self._ids.last
        try:
            self._tell(call)
        except MailboxFull:
            raise TooManyRequests from None

    def propose_as_leader(self, term: int, call: Call, kind: int, request: Any) -> None:
        """Propose what only the leader of `term` knows to be right: it is refused with NotLeader otherwise.

        Raises TooManyRequests.
        """
        call.kind = kind
        call.request = request
        call.data = proposals.encode(kind, request.SerializeToString(), self._next_header())
        call.request_id = self._ids.last
        try:
            self._tell(ProposeAsLeader(term, call))
        except MailboxFull:
            raise TooManyRequests from None

    async def ask(self, kind: int, request: Any) -> bytes:
        """Propose on behalf of the node itself and wait for the encoded response."""
        waiter = Waiter()
        self.propose(Call(waiter, 0), kind, request, request.SerializeToString())
        return await waiter.wait()
