"""Members of the cluster, and what was done to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ....rpc.pb.rpc_pb2 import (
    Member,
    MemberAddResponse,
    MemberListResponse,
    MemberPromoteResponse,
    MemberRemoveResponse,
    MemberUpdateResponse,
    ResponseHeader,
)
from ...common.goquote import quote
from ...common.output import Output
from ..gojson import dumps, message_value
from ..view import MessageView
from .header import header_fields

__all__ = ["MemberAddView", "MemberChangeView", "MemberListView"]

HEADER = ("ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner")


class MemberListView(MessageView):
    """`member list`."""

    message: MemberListResponse

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{member.ID:x}",
                "started" if member.name else "unstarted",
                member.name,
                ",".join(member.peerURLs),
                ",".join(member.clientURLs),
                "true" if member.isLearner else "false",
            )
            for member in self.message.members
        ]

    def simple(self, out: Output) -> None:
        for row in self._rows():
            out.line(", ".join(row))

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        for member in self.message.members:
            out.line(f'"ID" : {f"{member.ID:x}" if self.hex else member.ID}')
            out.line(f'"Name" : {quote(member.name)}')
            for url in member.peerURLs:
                out.line(f'"PeerURL" : {quote(url)}')
            for url in member.clientURLs:
                out.line(f'"ClientURL" : {quote(url)}')
            out.line(f'"IsLearner" : {"true" if member.isLearner else "false"}')
            out.line()

    def json(self) -> str:
        if not self.hex:
            return super().json()
        value: dict[str, Any] = {"header": _hex_header(self.message.header)}
        if self.message.members:
            value["members"] = [
                {
                    "ID": f"{member.ID:x}",
                    "name": member.name,
                    "peerURLs": list(member.peerURLs) or None,
                    "clientURLs": list(member.clientURLs) or None,
                }
                for member in self.message.members
            ]
        return dumps(value)

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return HEADER, self._rows()


class MemberAddView(MessageView):
    """`member add`; in simple format with the settings that the new member is to be started with."""

    message: MemberAddResponse

    def __init__(self, message: MemberAddResponse, name: str, peer_urls: str) -> None:
        super().__init__(message)
        self._name = name
        self._peer_urls = peer_urls

    def simple(self, out: Output) -> None:
        added = self.message.member
        kind = "as learner " if added.isLearner else ""
        cluster = self.message.header.cluster_id
        out.line(f"Member {added.ID:16x} added {kind}to cluster {cluster:16x}")
        initial = ",".join(
            f"{self._name if member.ID == added.ID else member.name}={url}"
            for member in self.message.members
            for url in member.peerURLs
        )
        out.line()
        out.line(f"ETCD_NAME={quote(self._name)}")
        out.line(f"ETCD_INITIAL_CLUSTER={quote(initial)}")
        out.line(f"ETCD_INITIAL_ADVERTISE_PEER_URLS={quote(self._peer_urls)}")
        out.line('ETCD_INITIAL_CLUSTER_STATE="existing"')

    def json(self) -> str:
        if not self.hex:
            return super().json()
        return dumps(
            {
                "header": _hex_header(self.message.header),
                "member": _hex_member(self.message.member),
                "members": _hex_members(self.message.members),
            }
        )


class MemberChangeView(MessageView):
    """`member remove`, `member update` and `member promote`.

    Args:
        message: the response.
        member_id: of the member.
        done: "removed from", "updated in" or "promoted in".
    """

    message: MemberRemoveResponse | MemberUpdateResponse | MemberPromoteResponse

    def __init__(
        self,
        message: MemberRemoveResponse | MemberUpdateResponse | MemberPromoteResponse,
        member_id: int,
        done: str,
    ) -> None:
        super().__init__(message)
        self._member_id = member_id
        self._done = done

    def simple(self, out: Output) -> None:
        cluster = self.message.header.cluster_id
        out.line(f"Member {self._member_id:16x} {self._done} cluster {cluster:16x}")

    def json(self) -> str:
        if not self.hex:
            return super().json()
        return dumps(
            {
                "header": _hex_header(self.message.header),
                "members": _hex_members(self.message.members),
            }
        )


def _hex_header(header: ResponseHeader) -> dict[str, Any]:
    value: dict[str, Any] = message_value(header)
    ids = {"cluster_id": f"{header.cluster_id:x}", "member_id": f"{header.member_id:x}"}
    return ids | {name: each for name, each in value.items() if name not in ids}


def _hex_member(member: Member) -> dict[str, Any]:
    value: dict[str, Any] = message_value(member)
    return {"ID": f"{member.ID:x}"} | {name: each for name, each in value.items() if name != "ID"}


def _hex_members(members: Iterable[Member]) -> list[dict[str, Any]]:
    return [_hex_member(member) for member in members]
