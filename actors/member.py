"""A member of the cluster: who it is, and how etcd writes it.

Source: etcd's membership package. A member's ID is the first eight bytes, big-endian, of the SHA-1 of its
sorted peer URLs joined together and followed by the cluster token (for a statically bootstrapped member)
or by the decimal unix time (for one that is added at run time). The cluster's ID is the same over the sorted
member IDs of the first configuration.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import attrs

__all__ = ["Member", "cluster_id", "go_json", "member_id", "read_attributes"]


def _first_eight(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


def member_id(peer_urls: Iterable[str], token: str, unix_seconds: int | None = None) -> int:
    """The ID of a member that starts with the cluster, or (with the time) of one that is added later.

    etcd adds members with an empty token.
    """
    at = "" if unix_seconds is None else str(unix_seconds)
    return _first_eight(("".join(sorted(peer_urls)) + token + at).encode())


def cluster_id(member_ids: Iterable[int]) -> int:
    """The ID of a cluster from its first members."""
    return _first_eight(b"".join(n.to_bytes(8, "big") for n in sorted(member_ids)))


def go_json(value: Any) -> bytes:
    """Encode as Go does: no spaces, and `&`, `<` and `>` escaped for HTML."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for letter in "&<>\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode("utf-8", "replace")


@attrs.frozen
class Member:
    """One member as etcd stores it: JSON under its hexadecimal ID."""

    id: int
    peer_urls: tuple[str, ...]
    name: str = ""
    """Empty until the member has started and published itself."""
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False

    def record(self) -> dict[str, Any]:
        """Etcd's fields: zero values are left out, in Go's order."""
        record: dict[str, Any] = {"id": self.id, "peerURLs": list(self.peer_urls) or None}
        if self.is_learner:
            record["isLearner"] = True
        if self.name:
            record["name"] = self.name
        if self.client_urls:
            record["clientURLs"] = list(self.client_urls)
        return record

    def to_json(self) -> bytes:
        """Etcd's encoding."""
        return go_json(self.record())

    @classmethod
    def of_record(cls, record: Any) -> Member:
        """Read decoded JSON of etcd's; raises KeyError, TypeError or ValueError for anything else."""
        peer_urls, client_urls = record.get("peerURLs") or (), record.get("clientURLs") or ()
        if not all(isinstance(url, str) for url in (*peer_urls, *client_urls)):
            raise ValueError("a URL is a text")
        return cls(
            id=int(record["id"]),
            peer_urls=tuple(peer_urls),
            name=str(record.get("name", "")),
            client_urls=tuple(client_urls),
            is_learner=bool(record.get("isLearner", False)),
        )

    @classmethod
    def from_json(cls, data: bytes) -> Member:
        """Read what `to_json` or etcd wrote."""
        return cls.of_record(json.loads(data))


def read_attributes(member: str, value: str) -> tuple[int, str, tuple[str, ...]] | None:
    """The ID, name and client URLs of a member that publishes itself as up to etcd 3.5; None if it is not that."""
    try:
        identity, record = int(member, 16), json.loads(value)
        name, urls = record.get("name") or "", record.get("clientURLs") or []
    except (ValueError, AttributeError, RecursionError):
        return None
    if not isinstance(urls, list) or not all(isinstance(text, str) for text in (name, *urls)):
        return None
    return identity, name, tuple(urls)
