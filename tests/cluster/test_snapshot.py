"""A member that was away for so long that the log no longer reaches back to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from triode.rpc.pb.rpc_pb2 import LeaseGrantRequest, LeaseLeasesRequest, PutRequest

SNAPSHOT_COUNT = 100
CATCHUP_ENTRIES = 20
IN_FLIGHT = 200


@pytest.fixture
def small_logs(daemons: Any) -> Callable[..., Any]:
    """Make a cluster whose logs are cut soon; `entries` is how many writes a member may be behind."""

    def make(make_cluster: Callable[..., Any], size: int = 3) -> tuple[Any, int]:
        cluster = make_cluster(size, "--snapshot-count", str(SNAPSHOT_COUNT), start=False)
        kept = CATCHUP_ENTRIES
        for program in cluster.programs:
            if not program.catchup_flag:
                kept = max(kept, program.catchup_entries)
        cluster.program_flags = {
            name: [one.catchup_flag, str(kept)]
            for name, one in daemons.PROGRAMS.items()
            if one.catchup_flag
        }
        cluster.start()
        return cluster, kept + 2 * SNAPSHOT_COUNT

    return make


def write(daemon: Any, count: int, name: bytes = b"fill") -> None:
    """So many puts, many at once."""
    for first in range(0, count, IN_FLIGHT):
        futures = [
            daemon.client.begin(
                "KV/Put", PutRequest(key=b"%s/%d" % (name, n % 50), value=b"%d" % n)
            )
            for n in range(first, min(count, first + IN_FLIGHT))
        ]
        for future in futures:
            future.result()


def test_a_lagging_member_gets_a_snapshot(make_cluster: Any, small_logs: Any) -> None:
    """Everything is there afterwards: keys, leases, members; and watchers of the member miss nothing."""
    cluster, entries = small_logs(make_cluster)
    leader = cluster.leader()
    late = cluster.followers()[0]
    write(leader, 30)
    cluster.settled()
    late.kill()
    write(leader, entries)
    lease = leader.client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=1000)).ID
    leader.client.put(b"leased", b"x", lease=lease)
    late.start()
    cluster.same_hashes()
    assert late.client.get(b"leased", serializable=True) == b"x"
    leases = late.client.call("Lease/LeaseLeases", LeaseLeasesRequest()).leases
    assert [one.ID for one in leases] == [lease]
    assert late.received_a_snapshot(), "the log alone would have done"
    write(late, 30)
    late.kill()  # what it was sent is on its disk
    late.start()
    cluster.same_hashes()


@pytest.mark.long
def test_a_snapshot_while_writes_go_on(
    make_cluster: Any, small_logs: Any, start_load: Any, verify: Any
) -> None:
    """The image is of one moment, and the log goes on from there."""
    cluster, entries = small_logs(make_cluster)
    load = start_load(cluster)
    late = cluster.followers()[0]
    late.kill()
    write(cluster.leader(), entries)
    late.start()
    load.wait_answers(100)
    verify(cluster, load)
    assert late.received_a_snapshot()
