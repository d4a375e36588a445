"""The header that nearly every response has, in the `fields` format."""

from __future__ import annotations

from ....rpc.pb.rpc_pb2 import ResponseHeader
from ...common.output import Output

__all__ = ["header_fields"]


def header_fields(out: Output, header: ResponseHeader, *, hex: bool) -> None:
    """Write a header; a revision of 0 is left out, as most responses have none."""
    spec = "x" if hex else "d"
    out.line(f'"ClusterID" : {header.cluster_id:{spec}}')
    out.line(f'"MemberID" : {header.member_id:{spec}}')
    if header.revision > 0:
        out.line(f'"Revision" : {header.revision}')
    out.line(f'"RaftTerm" : {header.raft_term}')
