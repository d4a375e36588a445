"""Two daemons of ours and a real etcd 3.5.1 are one cluster; etcd lags behind and takes our snapshot."""

from __future__ import annotations

import http.client
import json
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from triode.actors.member import Member
from triode.actors.membership_v2 import members_v2

pytestmark = pytest.mark.etcd
SECONDS_MAX = 30.0


def put(server: Any, key: str, value: str) -> bool:
    """By the gateway, which needs no process for each."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = {"key": b64encode(key.encode()).decode(), "value": b64encode(value.encode()).decode()}
    connection.request("POST", "/v3/kv/put", json.dumps(body))
    status = connection.getresponse().status
    connection.close()
    return status == 200


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)


def words(names: list[str], ports: list[int], at: int) -> list[str]:
    url = f"http://127.0.0.1:{ports[at]}"
    pairs = [f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)]
    return [
        *("--name", names[at], "--listen-peer-urls", url, "--initial-advertise-peer-urls", url),
        *("--initial-cluster", ",".join(pairs), "--snapshot-count", "20"),
    ]


def test_etcd_takes_our_snapshot_and_lives_on(
    free_ports: Callable[[int], list[int]],
    launch_triode: Callable[..., Any],
    launch_etcd: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """All have the same afterwards, and a change of members finds them in etcd's old store."""
    ports = free_ports(4)
    names = ["ours-0", "ours-1", "etcd"]
    ours = [[*words(names, ports[:3], at), "--snapshot-catchup-entries", "5"] for at in range(2)]
    theirs = words(names, ports[:3], 2)
    client = f"http://127.0.0.1:{ports[3]}"
    theirs += ["--listen-client-urls", client, "--advertise-client-urls", client]
    data = tmp_path / "the-etcd"
    with ThreadPoolExecutor(3) as pool:
        starting = [
            pool.submit(launch_triode, *flags, data_dir=tmp_path / name)
            for name, flags in zip(names, ours, strict=False)
        ]
        starting.append(pool.submit(launch_etcd, *theirs, data_dir=data))
        servers = [one.result() for one in starting]
    servers[2].kill()
    until(lambda: put(servers[0], "first", "1"), "a leader of ours")
    for n in range(60):
        assert put(servers[n % 2], f"key-{n}", "x" * 100)
    etcd = launch_etcd(*theirs, data_dir=data)
    etcd.port = ports[3]
    assert "applied incoming Raft snapshot" in etcd.log()

    def hashes() -> set[str]:
        return {one.ctl("endpoint", "hashkv").stdout.split(", ")[1] for one in (*servers[:2], etcd)}

    until(lambda: len(hashes()) == 1, "the same data everywhere")
    listed = etcd.ctl("member", "list").stdout.splitlines()
    mine = next(line.split(", ") for line in listed if "ours-0" in line)
    update = etcd.ctl("member", "update", mine[0], f"--peer-urls={mine[3]}")
    assert update.returncode == 0, update.stderr
    assert put(etcd, "last", "1")
    assert etcd.process.poll() is None
    until(lambda: len(hashes()) == 1, "the same data everywhere, after the change")


def test_the_old_store_has_what_etcd_writes() -> None:
    """Paths and values as in a snapshot of etcd 3.5."""
    members = [
        Member(0x2, ("http://b:1",), "b", ("http://b:2", "http://b:3")),
        Member(0x1, ("http://a:1",), is_learner=True),
    ]
    store = json.loads(members_v2(members, {0x9}, "3.6.0"))
    found: dict[str, str] = {}

    def walk(node: dict[str, Any]) -> None:
        for name, child in (node["Children"] or {}).items():
            assert child["Path"] == f"{node['Path'].rstrip('/')}/{name}"
            walk(child)
        if node["Children"] is None:
            found[node["Path"]] = node["Value"]

    walk(store["Root"])
    assert found == {
        "/0/members/1/raftAttributes": '{"peerURLs":["http://a:1"],"isLearner":true}',
        "/0/members/2/attributes": '{"name":"b","clientURLs":["http://b:2","http://b:3"]}',
        "/0/members/2/raftAttributes": '{"peerURLs":["http://b:1"]}',
        "/0/removed_members/9": "",
        "/0/version": "3.6.0",
    }
    assert store["CurrentVersion"] == 2
