"""Clusters of three: what concerns a member reaches that member."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest


@attrs.frozen
class Cluster:
    servers: list[Any]

    @property
    def endpoints(self) -> str:
        return ",".join(server.address for server in self.servers)


@pytest.fixture(params=[pytest.param("etcd", marks=pytest.mark.long), "triode"], scope="module")
def cluster(
    request: pytest.FixtureRequest,
    launch_etcd_once: Callable[..., Any],
    launch_triode_once: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    peers = [f"http://127.0.0.1:{port}" for port in ports[:3]]
    initial = ",".join(f"m{n}={url}" for n, url in enumerate(peers))
    folder = tmp_path_factory.mktemp("members")

    def launch(number: int) -> Any:
        client = f"http://127.0.0.1:{ports[3 + number]}"
        flags = [
            *("--name", f"m{number}", "--initial-cluster", initial),
            *("--listen-peer-urls", peers[number]),
            *("--initial-advertise-peer-urls", peers[number]),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--heartbeat-interval=50", "--election-timeout=500"),
        ]
        start = launch_etcd_once if request.param == "etcd" else launch_triode_once
        more = {} if request.param == "etcd" else {"backend": "memory"}
        server = start(*flags, data_dir=folder / f"m{number}", **more)
        server.port = ports[3 + number]
        return server

    with ThreadPoolExecutor(3) as pool:  # each is ready only when there is a majority
        yield Cluster(list(pool.map(launch, range(3))))


def status_of(here: Callable[..., Any], cluster: Cluster) -> list[dict[str, Any]]:
    answer = here("--endpoints", cluster.endpoints, "endpoint", "status", "-w", "json")
    assert answer.code == 0, answer.err
    return [one["Status"] for one in json.loads(answer.out)]


def test_cluster_asks_all(cluster: Cluster, here: Callable[..., Any]) -> None:
    """By the addresses that members advertise, whichever is asked for them."""
    one = ("--endpoints", cluster.servers[0].address)
    urls = sorted(server.url for server in cluster.servers)
    status = here(*one, "endpoint", "status", "--cluster")
    assert sorted(line.split(", ")[0] for line in status.lines) == urls
    assert [line.split(", ")[8] for line in status.lines].count("true") == 1
    health = here(*one, "endpoint", "health", "--cluster")
    assert sorted(line.split(" ")[0] for line in health.lines) == urls
    hashes = here(*one, "endpoint", "hashkv", "--cluster")
    assert len({line.split(", ")[1] for line in hashes.lines}) == 1
    defrag = here(*one, "defrag", "--cluster")
    assert sorted(re.findall(r"member\[(.*?)\]", defrag.out)) == urls


def test_the_leader_moves(cluster: Cluster, here: Callable[..., Any]) -> None:
    before = status_of(here, cluster)
    leader = before[0]["leader"]
    target = next(
        one["header"]["member_id"] for one in before if one["header"]["member_id"] != leader
    )
    followers = ",".join(
        server.address
        for server, one in zip(cluster.servers, before, strict=True)
        if one["header"]["member_id"] != leader
    )
    refused = here("--endpoints", followers, "move-leader", f"{target:x}")
    assert refused.code == 128
    assert refused.error == (f"Error: no leader endpoint given at [{followers.replace(',', ' ')}]")
    done = here("--endpoints", cluster.endpoints, "move-leader", f"{target:x}")
    assert done.out == f"Leadership transferred from {leader:x} to {target:x}\n", done.err
    assert {one["leader"] for one in status_of(here, cluster)} == {target}
    as_json = here("--endpoints", cluster.endpoints, "move-leader", f"{leader:x}", "-w", "json")
    assert (as_json.code, as_json.out) == (0, "{}\n")
    again = here("--endpoints", cluster.endpoints, "move-leader", f"{target:x}", "-w", "fields")
    assert (again.code, again.error) == (4, "Error: fields not supported as output format")


def test_top_shows_all(cluster: Cluster, here: Callable[..., Any]) -> None:
    one = ("--endpoints", cluster.servers[0].address, "top", "--once", "--interval=50ms")
    alone = here(*one)
    assert re.search(r"^not asked +m1, m2 |^not asked +m2, m1 ", alone.out, re.MULTILINE)
    everybody = here(*one, "--cluster")
    assert "not asked" not in everybody.out
    roles = re.findall(r"^http\S+ +m\d +[0-9a-f]+ +(\w+)", everybody.out, re.MULTILINE)
    assert sorted(roles) == ["follower", "follower", "leader"]


def test_a_member_is_down(cluster: Cluster, here: Callable[..., Any]) -> None:
    """Last, since it stays down."""
    cluster.servers[2].kill()
    one = ("--endpoints", cluster.servers[0].address, "--command-timeout=2s")
    top = here(*one, "top", "--once", "--cluster", "--interval=50ms")
    assert top.code == 0
    assert re.search(rf"^{cluster.servers[2].url} +down", top.out, re.MULTILINE)
    listed = here(*one, "member", "list", "--consistency=s")
    assert len(listed.lines) == 3
    saved = here(*one, "lock", "name", "true")
    assert saved.code == 0, "two of three are a majority"
