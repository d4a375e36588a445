"""HTTP/1.1 on a living daemon: what the scripts cannot compare (headers, streams, and what only 3.6 has)."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Launch = Callable[..., Any]


@pytest.fixture(scope="module")
def triode(launch_triode_once: Launch) -> Any:
    return launch_triode_once(backend="memory")


@pytest.fixture(scope="module")
def etcd(launch_etcd_once: Launch) -> Any:
    return launch_etcd_once()


@contextmanager
def asking(
    server: Any, verb: str, path: str, body: str | None = None
) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(server.address, timeout=10)
    try:
        connection.request(verb, path, body)
        yield connection.getresponse()
    finally:
        connection.close()


def get(server: Any, path: str, verb: str = "GET") -> tuple[int, str]:
    with asking(server, verb, path) as response:
        return response.status, response.read().decode()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.etcd
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/health"),
        ("POST", "/health"),
        ("GET", "/version"),
        ("GET", "/nothing"),
        ("POST", "/v3/kv/range"),
        ("OPTIONS", "/v3/kv/range"),
        ("GET", "/metrics"),
    ],
)
def test_same_headers(verb: str, path: str, triode: Any, etcd: Any) -> None:
    """Status and headers are etcd's, except for those that say how long and when."""
    free = {"date", "content-length", "transfer-encoding"}
    seen = []
    for server in (etcd, triode):
        with asking(server, verb, path, "{}" if verb == "POST" else None) as response:
            headers = {k.lower(): v for k, v in response.getheaders() if k.lower() not in free}
            response.read()
            seen.append((response.status, headers))
    theirs, ours = seen
    assert ours[0] == theirs[0]
    for name in ("content-type", "access-control-allow-origin", "allow"):
        kind = [each[1].get(name, "").partition(";")[0] for each in seen]
        assert kind[0] == kind[1], name


def test_version(triode: Any) -> None:
    """What 3.6 says, with the storage version."""
    answer = json.loads(get(triode, "/version")[1])
    assert list(answer) == ["etcdserver", "etcdcluster", "storage"]
    assert all(re.fullmatch(r"3\.6\.\d+", version) for version in answer.values())


def test_livez_and_readyz(triode: Any) -> None:
    """Each check by name, or all."""
    assert get(triode, "/livez") == (200, "ok\n")
    assert get(triode, "/livez?verbose") == (200, "[+]serializable_read ok\nok\n")
    assert get(triode, "/livez/serializable_read") == (200, "ok\n")
    checks = (
        "data_corruption",
        "serializable_read",
        "linearizable_read",
        "non_learner",
        "disk_space",
    )
    verbose = "".join(f"[+]{check} ok\n" for check in checks)
    assert get(triode, "/readyz?verbose") == (200, verbose + "ok\n")
    for check in checks:
        assert get(triode, f"/readyz/{check}") == (200, "ok\n")
    assert get(triode, "/readyz?exclude=non_learner&verbose")[1].count("non_learner") <= 1
    assert get(triode, "/readyz/nothing")[0] == 404
    assert get(triode, "/readyz", "POST")[0] == 405


def test_corruption_makes_it_unready(launch_triode: Launch) -> None:
    """With the alarm, the failing check is listed without being asked for; it still lives."""
    server = launch_triode(backend="memory")
    alarm = {"action": "ACTIVATE", "memberID": 1, "alarm": "CORRUPT"}
    with asking(server, "POST", "/v3/maintenance/alarm", json.dumps(alarm)) as response:
        assert response.status == 200
    status, body = get(server, "/readyz")
    assert status == 503
    assert "[-]data_corruption failed: " in body
    assert "[+]linearizable_read ok" in body
    assert get(server, "/livez")[0] == 200
    assert get(server, "/health") == (503, '{"health":"false","reason":"ALARM CORRUPT"}\n')


def test_metrics(triode: Any) -> None:
    """A page that Prometheus reads, with what alerts are made of."""
    triode.ctl("put", "measured", "1")
    status, text = get(triode, "/metrics")
    assert status == 200
    for name in ("etcd_server_has_leader", "etcd_server_proposals_committed_total"):
        value = re.search(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        assert value, name
        assert float(value[1]) > 0


def test_watch_streams(triode: Any) -> None:
    """One line per response, as they come."""
    request = {"create_request": {"key": b64("streamed"), "prev_kv": True}}
    with asking(triode, "POST", "/v3/watch", json.dumps(request)) as response:
        assert response.status == 200
        assert json.loads(response.readline())["result"]["created"] is True
        for value in ("1", "2"):
            triode.ctl("put", "streamed", value)
            event = json.loads(response.readline())["result"]["events"][0]
            assert event["kv"]["value"] == b64(value)
        assert event["prev_kv"]["value"] == b64("1")


def test_snapshot_streams(triode: Any) -> None:
    """The image in base64, counted down, and its hash at the end."""
    with asking(triode, "POST", "/v3/maintenance/snapshot", "{}") as response:
        parts = [json.loads(line)["result"] for line in response if line.strip()]
    image = b"".join(base64.b64decode(part["blob"]) for part in parts[:-1])
    assert image[16:20] == (0xED0CDAED).to_bytes(4, "little")
    assert len(image) - len(base64.b64decode(parts[0]["blob"])) == int(parts[0]["remaining_bytes"])
    assert len(base64.b64decode(parts[-1]["blob"])) == 32


def test_a_connection_serves_many_requests(triode: Any) -> None:
    """Keep-alive, also after an error."""
    connection = http.client.HTTPConnection(triode.address, timeout=10)
    connection.connect()
    sock = connection.sock
    for path, status in (("/health", 200), ("/nothing", 404), ("/v3/kv/range", 400)):
        connection.request("POST" if "v3" in path else "GET", path, "{}" if "v3" in path else None)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    assert connection.sock is sock
    connection.close()


def test_the_gateway_can_be_turned_off(launch_triode: Launch) -> None:
    """The pages stay."""
    server = launch_triode("--enable-grpc-gateway=false", backend="memory")
    assert get(server, "/v3/kv/range", "POST")[0] == 404
    assert get(server, "/health")[0] == 200
