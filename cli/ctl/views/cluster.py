"""Alarms, the leader's transfer, downgrades."""

from __future__ import annotations

from ....rpc.pb.rpc_pb2 import AlarmResponse, AlarmType, DowngradeResponse, MoveLeaderResponse
from ...common.output import Output
from ..view import MessageView
from .header import header_fields

__all__ = ["AlarmView", "DowngradeView", "MoveLeaderView"]


def _name(kind: int) -> str:
    return AlarmType.Name(kind) if kind in AlarmType.values() else str(kind)


class AlarmView(MessageView):
    """`alarm list` and `alarm disarm`."""

    message: AlarmResponse

    def simple(self, out: Output) -> None:
        for one in self.message.alarms:
            # Go's text of a protobuf message: unset fields are left out, a space follows each
            text = f"memberID:{one.memberID} " if one.memberID else ""
            out.line(text + (f"alarm:{_name(one.alarm)} " if one.alarm else ""))

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        for one in self.message.alarms:
            out.line(f'"MemberID" : {f"{one.memberID:x}" if self.hex else one.memberID}')
            out.line(f'"AlarmType" : {_name(one.alarm)}')
            out.line()


class MoveLeaderView(MessageView):
    """`move-leader`."""

    message: MoveLeaderResponse

    def __init__(self, message: MoveLeaderResponse, leader: int, target: int) -> None:
        super().__init__(message)
        self._leader = leader
        self._target = target

    def simple(self, out: Output) -> None:
        out.line(f"Leadership transferred from {self._leader:x} to {self._target:x}")


class DowngradeView(MessageView):
    """`downgrade`; `done` is "validate", "enable" or "cancel"."""

    message: DowngradeResponse

    def __init__(self, message: DowngradeResponse, done: str) -> None:
        super().__init__(message)
        self._done = done

    def simple(self, out: Output) -> None:
        out.line(f"Downgrade {self._done} success, cluster version {self.message.version}")
