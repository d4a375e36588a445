"""The quota at the door: a write that does not fit is refused here, and the NOSPACE alarm raised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ..errors import EtcdError, NoSpace
from ..mvcc.quota import LEASE_COST, Quota, put_cost, txn_cost
from ..mvcc.requests import PutRequest, TxnRequest
from ..rpc.pb.rpc_pb2 import NOSPACE, AlarmRequest
from . import proposals
from .log import Log
from .proposer import Proposer

__all__ = ["QuotaGuard"]

log = Log("triode.quota")
TXN_COST_PER_BYTE_MAX = 64  # the smallest put takes 7 bytes of a request and costs 257


class QuotaGuard:
    """Checks costs before proposals; the alarm itself goes through the log, for every member to see."""

    def __init__(
        self,
        quota: Quota,
        member_id: int,
        proposer: Proposer,
        spawn: Callable[[Callable[[], Awaitable[Any]]], None],
    ) -> None:
        self._quota = quota
        self._member_id = member_id
        self._proposer = proposer
        self._spawn = spawn
        self._raising = False
        self.limit_bytes = quota.limit_bytes

    def check_put(self, request: PutRequest) -> None:
        """Raise NoSpace if the put does not fit."""
        if not self._quota.available(put_cost(request)):
            self._refuse()

    def check_txn(self, request: TxnRequest, message_bytes: int) -> None:
        """Raise NoSpace if the dearer branch does not fit.

        `message_bytes` is the size of the encoded request: mostly there is room for far more than it can
        cost, and its operations need not be looked at.
        """
        if self._quota.available(message_bytes * TXN_COST_PER_BYTE_MAX):
            return
        if not self._quota.available(txn_cost(request)):
            self._refuse()

    def check_grant(self) -> None:
        """Raise NoSpace if another lease does not fit."""
        if not self._quota.available(LEASE_COST):
            self._refuse()

    def _refuse(self) -> None:
        if not self._raising:
            self._raising = True
            log.warning(
                "message exceeded backend quota; raising alarm",
                quota_size_bytes=self.limit_bytes,
                remaining_bytes=self._quota.remaining,
            )
            self._spawn(self._raise_alarm)
        raise NoSpace

    async def _raise_alarm(self) -> None:
        request = AlarmRequest(
            memberID=self._member_id, action=AlarmRequest.ACTIVATE, alarm=NOSPACE
        )
        try:
            with suppress(EtcdError):
                await self._proposer.ask(proposals.ALARM, request)
        finally:
            self._raising = False
