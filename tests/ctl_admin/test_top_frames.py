"""What `top` makes of what members tell."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from triode.cli.ctl.top.actors import actors_of
from triode.cli.ctl.top.frame import Frame, fitted, frame_of, lines_of
from triode.cli.ctl.top.metrics import parse
from triode.cli.ctl.top.sample import Actor, MemberSample, Rates, Sample, rates_of

PAGE = """
# HELP etcd_mvcc_put_total Puts.
# TYPE etcd_mvcc_put_total counter
etcd_mvcc_put_total {puts}
etcd_mvcc_range_total 1e+02
etcd_debugging_mvcc_watcher_total 3
grpc_server_started_total{{grpc_method="Put",grpc_type="unary"}} 2
grpc_server_started_total{{grpc_method="Range",grpc_type="unary"}} 5 1700000000
process_resident_memory_bytes 5.12e+07
process_cpu_seconds_total {cpu}
broken line
etcd_server_go_version{{server_go_version="x"}} one
"""


def member(
    endpoint: str = "a:1", puts: int = 10, cpu: float = 1.0, number: int = 1
) -> MemberSample:
    return MemberSample(
        endpoint,
        member_id=number,
        name=f"m{number}",
        version="3.6.0",
        leader_id=1,
        db_size=20480,
        db_in_use=16384,
        quota=2147483648,
        term=2,
        index=9,
        applied=9,
        revision=puts,
        metrics=parse(PAGE.format(puts=puts, cpu=cpu)),
    )


def test_metrics_pages_are_read() -> None:
    metrics = parse(PAGE.format(puts=7, cpu=1))
    assert metrics.get("etcd_mvcc_put_total") == 7
    assert metrics.get("missing", "etcd_mvcc_range_total") == 100
    assert metrics.get("grpc_server_started_total") == 7
    assert metrics.get("etcd_server_go_version") is None


def sample(at: float, *members: MemberSample) -> Sample:
    return Sample(at, 0xCAFE, members, leases=2)


def test_rates_are_between_two_looks() -> None:
    rates = rates_of(sample(1.0, member(puts=10)), sample(3.0, member(puts=110, cpu=2.0)))["a:1"]
    assert (rates.puts, rates.reads, rates.cpu) == (50, 0, 0.5)
    assert rates.deletes is None, "the page does not say"


def test_no_rate_across_a_restart() -> None:
    """The counter began anew, or somebody else answers there."""
    before = sample(1.0, member(puts=110))
    assert rates_of(before, sample(2.0, member(puts=10)))["a:1"].puts is None
    other = attrs.evolve(member(puts=200), member_id=7)
    assert rates_of(before, sample(2.0, other))["a:1"] == Rates()
    assert rates_of(None, before) == {}


def test_a_frame_in_plain_text() -> None:
    first = sample(1.0, member(), member("b:1", number=2))
    second = sample(2.0, member(puts=30), member("b:1", puts=30, number=2))
    lines = lines_of(frame_of(second, rates_of(first, second)))
    assert lines[:6] == [
        "cluster     cafe",
        "leader      m1 (1)",
        "revision    30   raft term 2, index 9",
        "alarms      none",
        "keys        -   leases 2   watchers 6 in - streams",
        "per second  puts 20.0   deletes -   reads 0   events -",
    ]
    row = next(line for line in lines if line.startswith("b:1"))
    shown = "b:1 m2 2 follower 3.6.0 20 kB 16 kB 2.1 GB 9 9 20.0 0 3 - 0% 51 MB"
    assert " ".join(row.split()) == shown


def test_a_member_that_does_not_answer() -> None:
    frame = frame_of(sample(1.0, MemberSample("a:1", error="connection refused")), {})
    lines = lines_of(frame)
    assert "leader   no member answers" in lines
    assert lines[-1].split() == ["a:1", "down", "connection", "refused"]
    assert frame.alarm


def test_alarms_are_noticed() -> None:
    frame = frame_of(attrs.evolve(sample(1.0, member()), alarms=("NOSPACE on m1",)), {})
    assert frame.alarm
    assert ("alarms", "NOSPACE on m1") in frame.facts
    assert not frame_of(sample(1.0, member()), {}).alarm


def test_members_that_were_not_asked() -> None:
    frame = frame_of(attrs.evolve(sample(1.0, member()), unasked=("m2", "m3")), {})
    assert ("not asked", "m2, m3   (--cluster asks all)") in frame.facts


def raft_actor(handled: int, waiting: int = 0) -> tuple[Actor, ...]:
    return (
        Actor("node", 0, "running", 0, 0, 0),
        Actor("node/raft", 1, "running", waiting, 1024, 2, handled=handled, mailbox_most=9),
        Actor("node/idle", 1, "running", 0, 1, 0),
    )


def test_the_actors_of_a_member() -> None:
    """All of them, with how much they do."""
    before = sample(1.0, attrs.evolve(member(), actors=raft_actor(10)))
    now = sample(3.0, attrs.evolve(member(), actors=raft_actor(40, waiting=4)))
    lines = lines_of(frame_of(now, rates_of(before, now)))
    at = lines.index("actors of m1")
    header = "ACTOR STATE MESSAGES/S WAITING MOST MAX RESTARTS LAST ERROR"
    assert " ".join(lines[at + 1].split()) == header
    assert lines[at + 3].split() == ["raft", "running", "15.0", "4", "9", "1024", "2"]
    assert lines[at + 3].startswith("  raft")
    assert len(lines) == at + 5


def test_of_several_members_only_busy_actors_are_shown() -> None:
    """Three trees fit on no screen."""
    busy = attrs.evolve(member(), actors=raft_actor(10))
    idle = attrs.evolve(member("b:1", number=2), actors=(Actor("node", 0, "running", 0, 0, 0),))
    frame = frame_of(sample(1.0, busy, idle), {})
    assert [table.title for table in frame.tables] == ["members", "actors of m1"]
    assert [row[0] for row in frame.tables[1].rows] == ["  raft"]


def test_a_page_of_actors() -> None:
    """As `/ui/api/actors` has it; connections are cut short."""

    def record(name: str, *children: Any, left_out: int = 0) -> dict[str, Any]:
        return {
            "name": name,
            "state": "running",
            "mailbox_depth": 1,
            "mailbox_depth_max": 2,
            "mailbox_messages_max": 3,
            "messages_handled": 4,
            "restarts": 5,
            "last_error": None,
            "children": list(children),
            "children_left_out": left_out,
        }

    connections = [record(f"connection-{n}") for n in range(20)]
    page = {"actors": record("node", record("clients", *connections, left_out=7), record("raft"))}
    actors = actors_of(json.dumps(page).encode())
    assert [actor.path for actor in actors[:3]] == [
        "node",
        "node/clients",
        "node/clients/connection-0",
    ]
    assert actors[10].path == "node/clients/… 19 more"
    assert actors[11] == Actor("node/raft", 1, "running", 1, 3, 5, mailbox_most=2, handled=4)
    for wrong in (b"", b"{}", b"[]", b'{"actors": {}}', b"<html>"):
        with pytest.raises(ValueError):
            actors_of(wrong)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 150, 200])
def test_a_table_fits_the_terminal(width: int) -> None:
    """What matters least goes first, and what tells nothing anyway."""
    before, now = sample(1.0, member()), sample(2.0, member(puts=20))
    table = frame_of(now, rates_of(before, now)).tables[0]
    narrow = fitted(table, width)
    assert "ERRORS" not in narrow.header
    assert {"ENDPOINT", "NAME", "ROLE", "PUTS/S"} <= set(narrow.header)
    assert all(len(row) == len(narrow.header) for row in narrow.rows)
    shown = max(map(len, lines_of(Frame((("a", "b"),), (narrow,)))))
    assert shown <= max(width, 60)
    assert ("QUOTA" in narrow.header) == (width >= 120)
