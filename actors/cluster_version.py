"""The version that a cluster speaks: the lowest of its members', as the leader decides it. Pure.

While a downgrade is under way it is the downgrade's target, so that members of the older version can take the places
of the newer ones. Source: etcd's version package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

__all__ = [
    "MIN_CLUSTER_VERSION",
    "InvalidTarget",
    "decide",
    "downgrade_done",
    "downgrade_target",
    "minor",
    "parse_version",
    "server_version",
]

MIN_CLUSTER_VERSION = "3.0.0"
Version = tuple[int, int, int]
_VERSION: Final = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+][0-9A-Za-z.+-]*)?", re.ASCII)


class InvalidTarget(Exception):
    """The downgrade that is under way cannot be: from where the cluster is, its target is not one minor version."""


def parse_version(text: str) -> tuple[int, int, int] | None:
    """A semantic version without what may follow a dash; None if it is not one."""
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def minor(version: Version) -> Version:
    """Without what a cluster version does not have: the patch."""
    return version[0], version[1], 0


def downgrade_target(version: Version) -> Version:
    """The only version that may be downgraded to."""
    return version[0], version[1] - 1, 0


def server_version(body: bytes) -> str | None:
    """A member's own version from its `/version` page; None if that is not one."""
    try:
        version = json.loads(body)["etcdserver"]
    except (ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) and parse_version(version) else None


def lowest(servers: Iterable[str | None]) -> Version | None:
    """The lowest of the members' versions; None if one is unknown."""
    versions = [parse_version(server) if server else None for server in servers]
    known = [version for version in versions if version is not None]
    return min(known) if known and len(known) == len(versions) else None


def decide(
    current: str | None, servers: Iterable[str | None], downgrade: tuple[bool, str]
) -> str | None:
    """The cluster version to be set, such as "3.6.0", or None to leave it.

    Args:
        current: the present one; None if none was decided yet.
        servers: each member's own version; None of one that does not answer.
        downgrade: whether one is under way, and its target.

    Raises:
        InvalidTarget: see there.
    """
    known = lowest(servers)
    if current is None:
        return MIN_CLUSTER_VERSION if known is None else _text(minor(known))
    now = parse_version(current)
    assert now is not None, "a version was decided"
    if known is None:
        return None
    enabled, target_text = downgrade
    if enabled:
        target = parse_version(target_text)
        if target == now:
            return None
        if target is None or downgrade_target(now) != target or downgrade_target(known) != target:
            raise InvalidTarget(
                f"from {current} (members: {_text(known)}) there is no way down to {target_text!r}"
            )
        return _text(target)
    higher = minor(known)
    return _text(higher) if now < higher and now[0] == higher[0] else None


def downgrade_done(target: str, servers: Iterable[str | None]) -> bool:
    """Whether all members are of the downgrade's target version."""
    wanted = parse_version(target)
    versions = [parse_version(server) if server else None for server in servers]
    return wanted is not None and all(
        version is not None and minor(version) == minor(wanted) for version in versions
    )


def _text(version: Version) -> str:
    return ".".join(map(str, version))
