"""The small tables of a database: members, cluster, alarms, users and roles."""

from __future__ import annotations

import json
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from ...backends.contract import View
from ...errors import CorruptData
from ...mvcc.alarm import NAMES, Alarm
from ...mvcc.examine import Problem
from ...rpc.pb.auth_pb2 import Role, User
from .facts import database_facts

__all__ = ["examine_tables"]

ROOT = "root"


def examine_tables(view: View) -> Iterator[Problem]:
    """What cannot be in them, and which alarms are raised."""
    yield from _members(view)
    yield from _cluster(view)
    for key, _ in view.scan("alarm"):
        try:
            alarm = Alarm.decode(key)
        except CorruptData as error:
            yield Problem("bucket alarm", str(error))
            continue
        kind = NAMES.get(alarm.kind, str(alarm.kind))
        what = f"{kind} is raised for member {alarm.member_id:x}"
        yield Problem("bucket alarm", what, note=True)
    yield from _auth(view)


def _members(view: View) -> Iterator[Problem]:
    try:
        facts = database_facts(view)
    except CorruptData as error:
        yield Problem("bucket members", str(error))
        return
    for gone in sorted(facts.removed & facts.members.keys()):
        yield Problem("bucket members", f"{gone:x} is a member and has been removed as well")
    owners: dict[str, int] = {}
    for member in facts.members.values():
        for url in member.peer_urls:
            other = owners.setdefault(url, member.id)
            if other != member.id:
                yield Problem(
                    "bucket members", f"{url} is the peer URL of {other:x} and of {member.id:x}"
                )
    if facts.members and all(member.is_learner for member in facts.members.values()):
        yield Problem("bucket members", "there is no voter among the members")


def _cluster(view: View) -> Iterator[Problem]:
    version = view.get("cluster", b"clusterVersion")
    if version is not None and not all(part.isdigit() for part in version.split(b".")):
        yield Problem("bucket cluster", f"clusterVersion is no version: {version!r}")
    downgrade = view.get("cluster", b"downgrade")
    if downgrade is None:
        return
    try:
        record = json.loads(downgrade)
        if record.get("enabled"):
            what = f"a downgrade to {record.get('target-version')} is under way"
            yield Problem("bucket cluster", what, note=True)
    except (ValueError, AttributeError):
        yield Problem("bucket cluster", f"downgrade cannot be read: {downgrade!r}")


def _auth(view: View) -> Iterator[Problem]:
    roles: set[bytes] = set()
    users: dict[str, User] = {}
    for key, value in view.scan("authRoles"):
        try:
            if Role.FromString(value).name != key:
                yield Problem("bucket authRoles", f"{key!r} has the record of another role")
        except DecodeError:
            yield Problem("bucket authRoles", f"{key!r} cannot be read")
        roles.add(key)
    for key, value in view.scan("authUsers"):
        try:
            user = User.FromString(value)
        except DecodeError:
            yield Problem("bucket authUsers", f"{key!r} cannot be read")
            continue
        if user.name != key:
            yield Problem("bucket authUsers", f"{key!r} has the record of another user")
        users[key.decode("utf-8", "replace")] = user
        for role in user.roles:
            if role.encode() not in roles and role != ROOT:
                yield Problem(
                    "bucket authUsers", f"{key!r} has the role {role!r}, which is not there"
                )
    enabled = view.get("auth", b"authEnabled")
    if enabled == b"\1" and (ROOT not in users or ROOT not in users[ROOT].roles):
        yield Problem(
            "bucket auth", "authentication is enabled, but there is no user root with the role root"
        )
    elif enabled not in {None, b"\0", b"\1"}:
        yield Problem("bucket auth", f"authEnabled is neither yes nor no: {enabled!r}")
