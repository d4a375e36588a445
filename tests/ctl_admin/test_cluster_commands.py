"""member, endpoint, alarm, defrag, move-leader, downgrade: beside etcdctl where both can ask."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from typing import Any

import pytest


def same(server: Any, ctl: Callable[..., Any], *arguments: str) -> Any:
    """Run both tools; they must agree. Returns how ours ended."""
    theirs = server.ctl(*arguments)
    if arguments[0] == "member":
        settle(ctl)
    ours = ctl(*arguments)
    assert (ours.code, plain(ours.out)) == (theirs.returncode, plain(theirs.stdout))
    said = (theirs.stderr.splitlines() or [""])[-1]
    assert plain(ours.error) == plain(said)
    return ours


def settle(ctl: Callable[..., Any]) -> None:
    """etcd forgets a change of members that comes before raft has heard that the last one is applied."""
    assert ctl("put", "settled", "").code == 0


def plain(output: str) -> str:
    """Without times."""
    return re.sub(r"\b[0-9.]+(ms|µs|s)\b", "<time>", output)


@pytest.mark.parametrize(
    "arguments",
    [
        ("member", "list"),
        ("member", "list", "-w", "json"),
        ("member", "list", "-w", "table"),
        ("mem", "li"),
        ("endpoint", "health"),
        ("endpoint", "health", "--cluster"),
        ("alarm", "list"),
        ("alarm", "list", "-w", "fields"),
        ("alarm", "list", "-w", "json"),
        ("alarm", "list", "-w", "table"),
        ("member", "remove", "123"),
        ("member", "update", "123", "--peer-urls=http://1.2.3.4:2380"),
        ("member", "promote", "123"),
        ("move-leader", "123"),
        ("endpoint", "hashkv", "--rev", "100000"),
    ],
    ids=" ".join,
)
def test_as_etcdctl(server: Any, ctl: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    same(server, ctl, *arguments)


@pytest.mark.parametrize("server", ["etcd"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        ("alarm", "list", "x"),
        ("alarm", "disarm", "x"),
        ("member", "add"),
        ("member", "add", "m"),
        ("member", "add", "m", "http://1.2.3.4:2380", "x"),
        ("member", "add", "m", "--peer-urls=foo"),
        ("member", "add", "m", "--peer-urls=http://1.2.3.4"),
        ("member", "add", "m", "--peer-urls=http://1.2.3.4:80/x"),
        ("member", "remove"),
        ("member", "remove", "zz"),
        ("member", "update", "123"),
        ("move-leader",),
        ("move-leader", "xyz"),
        ("move-leader", "1", "2"),
    ],
    ids=" ".join,
)
def test_misuse_as_etcdctl(
    server: Any, ctl: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    """No server is asked."""
    same(server, ctl, *arguments)


def test_a_member_comes_and_goes(server: Any, ctl: Callable[..., Any]) -> None:
    """A learner needs no votes, so that one member is enough to play with."""
    added = ctl(
        "member", "add", "m2", "--learner", "--peer-urls=http://127.0.0.1:1,http://127.0.0.1:2"
    )
    assert added.code == 0, added.err
    first, _, *settings = added.lines
    found = re.fullmatch(r"Member +([0-9a-f]+) added as learner to cluster +[0-9a-f]+", first)
    assert found
    number = found[1]
    initial = settings.pop(1)
    assert settings == [
        'ETCD_NAME="m2"',
        'ETCD_INITIAL_ADVERTISE_PEER_URLS="http://127.0.0.1:1,http://127.0.0.1:2"',
        'ETCD_INITIAL_CLUSTER_STATE="existing"',
    ]
    names = re.findall(r'["=,](\w+)=http', initial)
    assert sorted(names) == ["default", "m2", "m2"]
    same(server, ctl, "member", "list")
    same(server, ctl, "member", "list", "-w", "table")
    settle(ctl)
    updated = ctl("member", "update", number, "--peer-urls=http://127.0.0.1:3")
    assert re.fullmatch(rf"Member +{number} updated in cluster +[0-9a-f]+\n", updated.out)
    settle(ctl)
    same(server, ctl, "member", "promote", number)
    settle(ctl)
    removed = ctl("member", "remove", number)
    assert re.fullmatch(rf"Member +{number} removed from cluster +[0-9a-f]+\n", removed.out)
    assert len(ctl("member", "list").lines) == 1


def test_ids_in_hexadecimal(ctl: Callable[..., Any]) -> None:
    plain_list = json.loads(ctl("member", "list", "-w", "json").out)
    hex_list = json.loads(ctl("member", "list", "-w", "json", "--hex").out)
    assert hex_list["members"][0]["ID"] == f"{plain_list['members'][0]['ID']:x}"
    assert hex_list["members"][0]["clientURLs"] == plain_list["members"][0]["clientURLs"]
    assert hex_list["header"]["cluster_id"] == f"{plain_list['header']['cluster_id']:x}"
    fields = ctl("member", "list", "-w", "fields", "--hex").out
    assert f'"ID" : {plain_list["members"][0]["ID"]:x}\n' in fields


def test_member_list_in_fields(ctl: Callable[..., Any]) -> None:
    """As 3.6 writes it: without a revision, which these responses do not have."""
    lines = ctl("member", "list", "-w", "fields").lines
    names = [line.partition(" : ")[0].strip('"') for line in lines]
    assert names == [
        "ClusterID", "MemberID", "RaftTerm", "ID", "Name", "PeerURL", "ClientURL", "IsLearner", "",
    ]  # fmt: skip


def test_an_unknown_consistency(ctl: Callable[..., Any]) -> None:
    done = ctl("member", "list", "--consistency=x")
    assert (done.code, done.error) == (4, 'Error: unknown consistency flag "x"')
    assert ctl("member", "list", "--consistency=s").code == 0


def test_status_has_the_columns_of_3_6(server: Any, ctl: Callable[..., Any]) -> None:
    status = json.loads(ctl("endpoint", "status", "-w", "json").out)
    assert [one["Endpoint"] for one in status] == [server.address]
    told = status[0]["Status"]
    row = ctl("endpoint", "status").out.strip().split(", ")
    assert row[0] == server.address
    assert row[1] == f"{told['header']['member_id']:x}"
    assert row[2] == told["version"]
    assert row[3] == told.get("storageVersion", "")
    assert row[4].endswith("B")
    assert re.fullmatch(r"\d+%", row[6])
    assert row[8:11] == ["true", "false", str(told["raftTerm"])]
    assert len(row) == 16
    fields = ctl("endpoint", "status", "-w", "fields").out
    assert re.search(r'^"DBSize" : \d+$', fields, re.MULTILINE)
    assert f'"Leader" : {told["leader"]}\n' in fields
    assert f'"Endpoint" : "{server.address}"\n' in fields
    assert "| DOWNGRADE ENABLED |" in ctl("endpoint", "status", "-w", "table").out


def test_hashkv_says_of_which_revision(server: Any, ctl: Callable[..., Any]) -> None:
    theirs = json.loads(server.ctl("endpoint", "hashkv", "-w", "json").stdout)[0]["HashKV"]
    ours = json.loads(ctl("endpoint", "hashkv", "-w", "json").out)[0]["HashKV"]
    revision = ours.pop("hash_revision", 0)  # 3.5 knows no such field
    assert ours == theirs
    row = ctl("endpoint", "hashkv").out.strip()
    assert row == f"{server.address}, {theirs['hash']}, {revision}"


def test_one_of_two_endpoints_is_down(server: Any, here: Callable[..., Any]) -> None:
    """What can be asked is shown; the exit code says that it is not all."""
    common = ("--endpoints", f"127.0.0.1:1,{server.address}", "--command-timeout=300ms")
    health = here(*common, "endpoint", "health")
    assert health.code == 1
    assert health.lines[0].startswith(f"{server.address} is healthy: ")
    assert "127.0.0.1:1 is unhealthy: failed to commit proposal: " in health.err
    assert health.error == "Error: unhealthy cluster"
    as_json = {
        one["endpoint"]: one
        for one in json.loads(here(*common, "endpoint", "health", "-w", "json").out)
    }
    assert as_json[server.address]["health"] is True
    assert as_json["127.0.0.1:1"]["health"] is False
    assert as_json["127.0.0.1:1"]["error"]
    status = here(*common, "endpoint", "status")
    assert status.code == 1
    assert "Failed to get the status of endpoint 127.0.0.1:1 (" in status.err
    assert status.lines[0].startswith(server.address)
    hashes = here(*common, "endpoint", "hashkv")
    assert hashes.code == 1
    assert "Failed to get the hash of endpoint 127.0.0.1:1 (" in hashes.err
    defrag = here(*common, "defrag")
    assert defrag.code == 1
    assert "Failed to defragment etcd member[127.0.0.1:1]. took " in defrag.err
    assert defrag.lines[0].startswith(f"Finished defragmenting etcd member[{server.address}]. took")


def post(server: Any, path: str, body: Any) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", path, json.dumps(body))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_an_alarm(server: Any, ctl: Callable[..., Any]) -> None:
    """It is listed, makes the member unhealthy, and is disarmed."""
    number = json.loads(ctl("member", "list", "-w", "json").out)["members"][0]["ID"]
    order = {"action": "ACTIVATE", "memberID": str(number), "alarm": "NOSPACE"}
    post(server, "/v3/maintenance/alarm", order)
    for form in ("simple", "fields", "json"):
        same(server, ctl, "alarm", "list", "-w", form)
    assert ctl("alarm", "list").lines[0].rstrip() == f"memberID:{number} alarm:NOSPACE"
    same(server, ctl, "endpoint", "health")
    disarmed = ctl("alarm", "disarm", "-w", "json")
    assert json.loads(disarmed.out) == {"alarms": [{"memberID": number, "alarm": 1}]}
    same(server, ctl, "alarm", "disarm")
    assert ctl("endpoint", "health").code == 0


def test_downgrades(ctl: Callable[..., Any], server: Any) -> None:
    """One minor version back and no further."""
    present = json.loads(ctl("endpoint", "status", "-w", "json").out)[0]["Status"]["version"]
    major, minor, _ = present.split(".")
    done = ctl("downgrade", "validate", f"{major}.{int(minor) - 1}")
    assert done.out.startswith("Downgrade validate success, cluster version 3.")
    assert done.code == 0
    assert (
        ctl("downgrade", "validate", "3.1").error
        == "Error: etcdserver: invalid downgrade target version"
    )
    assert ctl("downgrade", "cancel").error == "Error: etcdserver: no inflight downgrade job"
    assert ctl("downgrade", "validate").error == "Error: TARGET_VERSION not provided"
    assert ctl("downgrade", "enable", "").error == "Error: target version not provided"
    assert ctl("downgrade", "enable", "a", "b").code == 128


def test_the_leader_must_be_among_the_endpoints(ctl: Callable[..., Any], server: Any) -> None:
    """A single member is its own leader; handing over to itself is no change."""
    number = ctl("member", "list").out.split(",")[0]
    done = ctl("move-leader", number)
    assert done.code == 0
    assert done.out == f"Leadership transferred from {number} to {number}\n"
