"""The members in the form of etcd's old store, which a snapshot between members of etcd carries.

Up to etcd 3.6 a receiver stops when a snapshot's message has no such data, and changes of members that come later must find
the member there. The table in the database is what counts. Source: etcd's v2store and membership packages; of the
store only what has content is written, as its reader keeps what is not mentioned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .member import Member, go_json

__all__ = ["members_v2"]

NEVER: Final = "0001-01-01T00:00:00Z"
VERSION: Final = 2


def members_v2(members: Iterable[Member], removed: Iterable[int], version: str | None) -> bytes:
    """The old store's JSON with members, removed members and the cluster version."""
    content: dict[str, Any] = {}
    tree = {member.id: _member(member) for member in members}
    if tree:
        content["members"] = {f"{key:x}": tree[key] for key in sorted(tree)}
    gone = sorted(removed)
    if gone:
        content["removed_members"] = {f"{key:x}": "" for key in gone}
    if version:
        content["version"] = version
    root = _node("/", {"0": content, "1": {}})
    return go_json({"Root": root, "CurrentIndex": 1, "CurrentVersion": VERSION})


def _member(member: Member) -> dict[str, str]:
    raft: dict[str, Any] = {"peerURLs": list(member.peer_urls)}
    if member.is_learner:
        raft["isLearner"] = True
    own: dict[str, Any] = {}
    if member.name:
        own["name"] = member.name
    if member.client_urls:
        own["clientURLs"] = list(member.client_urls)
    found = {"raftAttributes": go_json(raft).decode()}
    if own:
        found["attributes"] = go_json(own).decode()
    return found


def _node(path: str, content: Mapping[str, Any] | str) -> dict[str, Any]:
    """A directory for a mapping, a value for a text."""
    record: dict[str, Any] = {
        "Path": path,
        "CreatedIndex": 1,
        "ModifiedIndex": 1,
        "ExpireTime": NEVER,
        "Value": "",
        "Children": None,
    }
    if isinstance(content, str):
        record["Value"] = content
    else:
        below = path.rstrip("/")
        record["Children"] = {name: _node(f"{below}/{name}", of) for name, of in content.items()}
    return record
