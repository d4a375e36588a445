"""Leases while leaders come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from triode.rpc.pb.rpc_pb2 import LeaseGrantRequest, LeaseTimeToLiveRequest

TTL_SECONDS = 3


@pytest.mark.parametrize("how", ["kill", pytest.param("move", marks=pytest.mark.long)])
def test_a_lease_survives_a_change_of_leader(
    make_cluster: Callable[..., Any], daemons: Any, until: Any, how: str
) -> None:
    """The new leader knows it, gives it its whole time again, and ends it then: never early."""
    cluster = make_cluster()
    old = cluster.leader()
    other = cluster.followers()[0]
    lease = other.client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=TTL_SECONDS)).ID
    other.client.put(b"leased", b"x", lease=lease)
    if how == "kill":
        old.kill()
    else:
        daemons.succeeded(old.ctl("move-leader", f"{other.member_id:x}"))
    changed = time.monotonic()
    new = cluster.leader()
    assert new is not old
    until(lambda: new.client.get(b"leased") == b"x", "the key is still there", 10)
    found = until(
        lambda: other.client.call("Lease/LeaseTimeToLive", LeaseTimeToLiveRequest(ID=lease)),
        "somebody knows the lease",
        10,
    )
    assert found.grantedTTL == TTL_SECONDS
    until(lambda: other.client.get(b"leased") is None, "the lease ends", 30)
    assert time.monotonic() - changed > TTL_SECONDS - 0.5, "it is extended when a leader begins"


@pytest.mark.long
def test_keep_alives_go_on_over_a_change_of_leader(
    make_cluster: Callable[..., Any], until: Any
) -> None:
    """A client that keeps a lease alive through a follower keeps it."""
    cluster = make_cluster()
    old = cluster.leader()
    other = cluster.followers()[0]
    lease = other.client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=TTL_SECONDS)).ID
    other.client.put(b"leased", b"x", lease=lease)
    words = ["lease", "keep-alive", f"{lease:x}"]
    end = time.monotonic() + 2 * TTL_SECONDS
    old.kill()
    while time.monotonic() < end:
        until(lambda: other.ctl(*words, "--once").returncode == 0, "it is kept alive", TTL_SECONDS)
    assert other.client.get(b"leased") == b"x"
