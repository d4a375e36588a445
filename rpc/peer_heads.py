"""What peers say of themselves in HTTP headers, and what a member makes of it. Sans-IO.

Source: etcd's rafthttp package. A request names the sender, its version, the oldest cluster version that it can live
with, its cluster and its peer URLs; the receiver refuses with 412 what does not fit. A version that is not given is 2.0.0,
which is too old; one that cannot be read is refused as well, where etcd drops the connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

__all__ = [
    "CLUSTER_MISMATCH",
    "INCOMPATIBLE",
    "MESSAGE",
    "MSGAPP",
    "PROBING",
    "RAFT",
    "SNAPSHOT",
    "STREAM",
    "Identity",
    "headers_of",
    "incompatible",
    "of_other_cluster",
    "parse_id",
    "sender_of",
]

RAFT: Final = "/raft"
STREAM: Final = "/raft/stream/"
MESSAGE: Final = "/raft/stream/message"
MSGAPP: Final = "/raft/stream/msgapp"
SNAPSHOT: Final = "/raft/snapshot"
PROBING: Final = "/raft/probing"

INCOMPATIBLE: Final = "incompatible version"
CLUSTER_MISMATCH: Final = "cluster ID mismatch"
MIN_CLUSTER_VERSION: Final = "3.0.0"
PEER_URLS_MAX: Final = 32
_VERSION: Final = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+][0-9A-Za-z.+-]*)?", re.ASCII)
_ID: Final = re.compile(r"[0-9a-fA-F]{1,16}", re.ASCII)


@attrs.frozen
class Identity:
    """Who sends: goes into every request to a peer."""

    member_id: int
    cluster_id: int
    version: str
    peer_urls: Sequence[str] = ()

    def headers(self, to: int | None = None) -> list[tuple[str, str]]:
        """The headers of a request; `to` is the receiver, named on requests for streams."""
        named = [
            ("X-Server-From", f"{self.member_id:x}"),
            ("X-Server-Version", self.version),
            ("X-Min-Cluster-Version", MIN_CLUSTER_VERSION),
            ("X-Etcd-Cluster-ID", f"{self.cluster_id:x}"),
        ]
        if to is not None:
            named.append(("X-Raft-To", f"{to:x}"))
        if self.peer_urls:
            named.append(("X-PeerURLs", ",".join(self.peer_urls)))
        return named


def headers_of(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; the first of several counts, as in Go."""
    found: dict[str, str] = {}
    for name, value in fields:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def parse_id(text: str) -> int | None:
    """A member or cluster ID as it is written in headers and paths; None if it is not one."""
    return int(text, 16) if _ID.fullmatch(text) else None


def _major_minor(text: str) -> tuple[int, int] | None:
    found = _VERSION.fullmatch(text or "2.0.0")
    return (int(found[1]), int(found[2])) if found else None


def incompatible(headers: Mapping[str, str], cluster_id: int, version: str) -> str | None:
    """Why a request is refused with 412 by a member of `cluster_id` that runs `version`; None if it is not."""
    local, oldest = _major_minor(version), _major_minor(MIN_CLUSTER_VERSION)
    assert local is not None
    assert oldest is not None
    server = _major_minor(headers.get("x-server-version", ""))
    needs = _major_minor(headers.get("x-min-cluster-version", ""))
    if server is None or needs is None or server < oldest or needs > local:
        return INCOMPATIBLE
    if headers.get("x-etcd-cluster-id", "") != f"{cluster_id:x}":
        return CLUSTER_MISMATCH
    return None


def of_other_cluster(headers: Mapping[str, str], cluster_id: int) -> bool:
    """Whether a request or a reply says that it comes from another cluster; one that says nothing may be ours.

    An address may be used again by a member of another cluster. What it says of itself, a hash for one, is not to
    be taken for a word of ours. Source: etcd's hashKVHandler, which answers 412.
    """
    given = headers.get("x-etcd-cluster-id", "")
    return bool(given) and parse_id(given) != cluster_id


def sender_of(headers: Mapping[str, str]) -> tuple[int, tuple[str, ...]] | None:
    """The sender and its peer URLs, if a request names both."""
    member = parse_id(headers.get("x-server-from", ""))
    urls = tuple(url for url in headers.get("x-peerurls", "").split(",") if url)
    if member is None or not 0 < len(urls) <= PEER_URLS_MAX:
        return None
    return member, urls
