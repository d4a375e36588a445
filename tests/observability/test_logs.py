"""The lines of the daemon's log that people and tools look for."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import triode
from triode.actors.log import Log, duration
from triode.cli.logs import ConsoleFormatter, JsonFormatter
from triode.errors import EtcdError
from triode.rpc.pb.rpc_pb2 import AlarmRequest, AlarmType

Launch = Callable[..., Any]
Line = dict[str, Any]
DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
SECRET = "s3cret-value"


def lines(server: Any) -> list[Line]:
    return [json.loads(line) for line in server.log().splitlines()]


def find(server: Any, message: str) -> Line:
    """The only line with this message."""
    (line,) = [line for line in lines(server) if line["msg"] == message]
    return line


@pytest.mark.etcd
def test_a_day(launch_triode: Launch, tmp_path: Path) -> None:
    """Start, use, maintenance, stop: etcd's messages with etcd's fields, and nothing of users."""
    server = launch_triode("--log-level", "debug")
    for value in (SECRET, SECRET + "2"):
        server.ctl("put", f"{SECRET}-key", value)
    server.ctl("compact", "3", "--physical")
    server.ctl("defrag")
    server.ctl("snapshot", "save", str(tmp_path / "saved"))
    assert server.stop() == 0
    messages = [line["msg"] for line in lines(server)]
    expected = [
        "starting",
        "elected leader",
        "published local member to cluster through raft",
        "ready to serve client requests",
        "finished scheduled compaction",
        "defragmenting",
        "finished defragmenting directory",
        "sending database snapshot to client",
        "successfully sent database snapshot to client",
        "received signal; shutting down",
        "stopped",
    ]
    assert [message for message in messages if message in expected] == expected
    assert find(server, "elected leader")["term"] == 2
    swept = find(server, "finished scheduled compaction")
    assert swept["compact-revision"] == 3
    assert swept["number-of-keys-compacted"] == 1
    assert re.fullmatch(r"[\d.e-]+(ns|µs|ms|s)", swept["took"])
    assert find(server, "finished defragmenting directory")["current-db-size-bytes"] > 0
    assert find(server, "successfully sent database snapshot to client")["total-bytes"] > 0
    assert find(server, "received signal; shutting down")["signal"] == "SIGTERM"
    assert "client connection closed" in messages
    assert {line["level"] for line in lines(server)} == {"debug", "info"}
    assert SECRET not in server.log()
    assert '{"level":"info","ts":"20' in server.log()


@pytest.mark.etcd
def test_alarms(launch_triode: Launch) -> None:
    server = launch_triode("--quota-backend-bytes", "300000")
    for _ in range(
        300
    ):  # the backend's file grows when it commits, the alarm comes after a refusal
        server.ctl("put", "key", "v" * 8000)
        if "NOSPACE" in server.ctl("alarm", "list").stdout:
            break
    assert find(server, "message exceeded backend quota; raising alarm")["level"] == "warn"
    raised = find(server, "alarm raised")
    assert (raised["level"], raised["alarm"]) == ("warn", "NOSPACE")
    server.ctl("alarm", "disarm")
    disarmed = find(server, "alarm disarmed")
    assert (disarmed["level"], disarmed["member-id"]) == ("info", raised["member-id"])


@pytest.mark.etcd
def test_what_is_slow(launch_triode: Launch) -> None:
    """Each limit has its line, which says how long it took and what was expected."""
    server = launch_triode("--warning-apply-duration", "1us")
    server.ctl("put", "key", SECRET)
    slow = [line for line in lines(server) if line["msg"] == "apply request took too long"]
    assert slow
    assert {line["level"] for line in slow} == {"warn"}
    assert {line["expected-duration"] for line in slow} == {"1µs"}
    assert SECRET not in server.log()


async def test_health_pages_say_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node:
        alarm = AlarmRequest(action=AlarmRequest.ACTIVATE, alarm=AlarmType.Value("CORRUPT"))
        await node.local.call("Maintenance/Alarm", alarm)
        with pytest.raises(EtcdError):
            await node.local.put(b"key", b"value")
        caplog.clear()
        await node.pages.answer("GET", "/health")
        await node.pages.answer("GET", "/readyz")
    found = [(record.levelname, record.message) for record in caplog.records][:2]
    assert found == [("WARNING", "/health error"), ("ERROR", "health check error")]
    fields = [getattr(record, "fields", {}) for record in caplog.records][:2]
    assert fields[0] == {"reason": "ALARM CORRUPT"}
    assert fields[1] == {"path": "/readyz", "data_corruption": "alarm activated: CORRUPT"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (2.5, "2.5s"), (0.0123, "12.3ms"), (0.000016918, "16.918µs"), (5e-9, "5ns")],
)
def test_durations_are_gos(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- the two forms --------------------------------------------------------------------------------


def written(formatter: logging.Formatter, message: str, **fields: Any) -> str:
    """What a formatter makes of a line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger("triode.test")
    logger.addHandler(handler)
    try:
        Log("triode.test").warning(message, **fields)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter(colour=False)])
def test_no_value_makes_a_line_of_its_own(formatter: logging.Formatter) -> None:
    """What a client sends may end up in a field, but cannot forge a line or a terminal's command."""
    text = written(formatter, "refused", peer='x\n{"level":"error"}\x1b[2J', other="a b=c")
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_console() -> None:
    text = written(
        ConsoleFormatter(colour=False), "it happened", a_b=1, text="two words", url="x:1"
    )
    assert re.fullmatch(
        r'20\S+Z warn  triode\.test: it happened a-b=1 text="two words" url=x:1\n', text
    )


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal(variables: dict[str, str], coloured: bool) -> None:
    """Colours for eyes only; what is read by programs has none (see tests/cli)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "triode",
            "--backend",
            "memory",
            "--log-format",
            "console",
            "--listen-client-urls",
            "http://127.0.0.1:0",
        ],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={k: v for k, v in os.environ.items() if not k.startswith("TRIODE_")} | variables,
    )
    os.close(theirs)
    text = b""
    try:
        while b"ready to serve client requests" not in text:
            readable, _, _ = select.select([ours], [], [], 30)
            assert readable, text
            text += os.read(ours, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert (b"\x1b[34minfo" in text) is coloured
    assert (b"\x1b" in text) is coloured


def test_every_documented_line_is_in_the_code() -> None:
    """Word for word."""
    section = DOCS.read_text().partition("## Logs\n")[2]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    messages = [message for cell in first_cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 15
    root = DOCS.parents[1]
    sources = "\n".join(
        path.read_text() for folder in ("actors", "cli") for path in (root / folder).rglob("*.py")
    )
    assert [message for message in messages if f'"{message}"' not in sources] == []
