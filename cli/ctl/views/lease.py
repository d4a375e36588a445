"""Responses about leases.

Go's client has structs of its own for most of them, with the header's fields at the top. That shows in JSON, and
in protobuf, where only the header comes out, because the struct takes its encoder from there.
"""

from __future__ import annotations

from typing import Any

from ....rpc.pb.rpc_pb2 import (
    LeaseGrantResponse,
    LeaseKeepAliveResponse,
    LeaseLeasesResponse,
    LeaseRevokeResponse,
    LeaseTimeToLiveResponse,
)
from ...common.exits import BAD_FEATURE, Failure
from ...common.goquote import quote
from ...common.output import Output
from ..gojson import dumps, message_value
from ..view import MessageView
from .header import header_fields

__all__ = ["GrantView", "KeepAliveView", "LeasesView", "RevokeView", "TimeToLiveView"]


class _FlatView(MessageView):
    """A response whose header's fields are at the top."""

    message: Any

    def _own(self) -> dict[str, Any]:
        """Its fields after the header's."""
        raise AssertionError

    def json(self) -> str:
        return dumps({**message_value(self.message.header), **self._own()})

    def protobuf(self) -> bytes:
        header: bytes = self.message.header.SerializeToString(deterministic=True)
        return header

    def _id_field(self, out: Output, lease: int) -> None:
        out.line(f'"ID" : {f"{lease:016x}" if self.hex else lease}')


class GrantView(_FlatView):
    """`lease grant`."""

    message: LeaseGrantResponse

    def simple(self, out: Output) -> None:
        out.line(f"lease {self.message.ID:016x} granted with TTL({self.message.TTL}s)")

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        self._id_field(out, self.message.ID)
        out.line(f'"TTL" : {self.message.TTL}')

    def _own(self) -> dict[str, Any]:
        return {"ID": self.message.ID, "TTL": self.message.TTL, "Error": self.message.error}


class RevokeView(MessageView):
    """`lease revoke`.

    Args:
        message: the response.
        lease: which one.
    """

    message: LeaseRevokeResponse

    def __init__(self, message: LeaseRevokeResponse, lease: int) -> None:
        super().__init__(message)
        self._lease = lease

    def simple(self, out: Output) -> None:
        out.line(f"lease {self._lease:016x} revoked")

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)

    def protobuf(self) -> bytes:
        header = message_value(self.message.header)
        shown = "".join(f"{name}:{value} " for name, value in header.items())
        raise Failure(
            f"marshal unsupported for type clientv3.LeaseRevokeResponse ({{{shown} {{}} [] 0}})",
            BAD_FEATURE,
        )


class KeepAliveView(_FlatView):
    """`lease keep-alive`, once for every renewal."""

    message: LeaseKeepAliveResponse

    def simple(self, out: Output) -> None:
        out.line(f"lease {self.message.ID:016x} keepalived with TTL({self.message.TTL})")

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        self._id_field(out, self.message.ID)
        out.line(f'"TTL" : {self.message.TTL}')

    def _own(self) -> dict[str, Any]:
        return {"ID": self.message.ID, "TTL": self.message.TTL}


class TimeToLiveView(_FlatView):
    """`lease timetolive`.

    Args:
        message: the response.
        keys: show the keys that are attached.
    """

    message: LeaseTimeToLiveResponse

    def __init__(self, message: LeaseTimeToLiveResponse, *, keys: bool) -> None:
        super().__init__(message)
        self._keys = keys

    def simple(self, out: Output) -> None:
        answer = self.message
        if answer.grantedTTL == 0 and answer.TTL == -1:
            out.line(f"lease {answer.ID:016x} already expired")
            return
        text = (
            f"lease {answer.ID:016x} granted with TTL({answer.grantedTTL}s),"
            f" remaining({answer.TTL}s)"
        ).encode()
        if self._keys:
            text += b", attached keys([" + b" ".join(answer.keys) + b"])"
        out.line(text)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        self._id_field(out, self.message.ID)
        out.line(f'"TTL" : {self.message.TTL}')
        out.line(f'"GrantedTTL" : {self.message.grantedTTL}')
        for key in self.message.keys:
            out.line(f'"Key" : {quote(key)}')

    def _own(self) -> dict[str, Any]:
        answer = self.message
        return {
            "id": answer.ID,
            "ttl": answer.TTL,
            "granted-ttl": answer.grantedTTL,
            "keys": list(answer.keys) or None,
        }


class LeasesView(_FlatView):
    """`lease list`."""

    message: LeaseLeasesResponse

    def simple(self, out: Output) -> None:
        out.line(f"found {len(self.message.leases)} leases")
        for lease in self.message.leases:
            out.line(f"{lease.ID:016x}")

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        for lease in self.message.leases:
            self._id_field(out, lease.ID)

    def _own(self) -> dict[str, Any]:
        return {"leases": [{"id": lease.ID} for lease in self.message.leases]}
