"""The daemon as an operator meets it: its log, its end, and what it says when it cannot start."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., dict[str, Any]]
Launch = Callable[..., Any]


def lines(server: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log().splitlines()]


# --- from start to end --------------------------------------------------------------------------


def test_a_day_in_its_life(launch_triode: Launch, tmp_path: Path) -> None:
    """Configured by a file and by flags; logs JSON; tells systemd; ends with 0 on SIGTERM."""
    file = tmp_path / "triode.toml"
    file.write_text("name = 'filed'\nbackend = 'memory'\nlog-level = 'debug'\n")
    server = launch_triode("-config-file", str(file), "-log-level=info")
    written = lines(server)
    assert all({"level", "ts", "logger", "caller", "msg"} <= line.keys() for line in written)
    ready = next(line for line in written if line["msg"] == "ready to serve client requests")
    assert ready["name"] == "filed"
    assert ready["ports"] == [server.port]
    assert not [line for line in written if line["level"] == "debug"]
    assert server.ctl("member", "list").stdout.split(", ")[2] == "filed"
    assert server.stop() == 0
    assert lines(server)[-1]["msg"] == "stopped"


def test_console_format(launch_triode: Launch, tmp_path: Path) -> None:
    """For people: one line each, without colours where there is no terminal."""
    log = tmp_path / "more.log"
    outputs = ("--log-outputs", f"stderr,{log}")
    console = ("--log-format", "console")
    server = launch_triode(*console, *outputs, backend="memory")
    text = log.read_text()
    assert text == server.log()
    assert re.search(
        r"^20\S+Z info  triode: ready to serve client requests name=default", text, re.MULTILINE
    )
    assert "\x1b" not in text


def test_sigint(launch_triode: Launch) -> None:
    """Ctrl-C is as good as SIGTERM."""
    server = launch_triode(backend="memory")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(15) == 0
    assert [line["signal"] for line in lines(server) if "signal" in line] == ["SIGINT"]


def test_sighup_reopens_the_logs_files(launch_triode: Launch, tmp_path: Path) -> None:
    """As logrotate wants it: the file was moved away, and the next lines go to a new one."""
    log, moved = tmp_path / "triode.log", tmp_path / "triode.log.1"
    server = launch_triode("--log-outputs", f"stderr,{log}", backend="memory")
    log.rename(moved)
    before = moved.read_text()
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 15
    while not (log.exists() and "reopened" in log.read_text()):
        assert time.monotonic() < deadline
        assert server.process.poll() is None
        time.sleep(0.02)
    opened = [fd.readlink() for fd in Path(f"/proc/{server.process.pid}/fd").iterdir()]
    assert log in opened
    assert moved not in opened, "the old file would take its space for ever"
    assert server.ctl("put", "a", "1").stdout == "OK\n"
    assert server.stop() == 0
    assert moved.read_text() == before
    assert json.loads(log.read_text().splitlines()[-1])["msg"] == "stopped"


def test_sighup_without_files_is_the_end_of_the_terminal(launch_triode: Launch) -> None:
    """A graceful end, which is told."""
    server = launch_triode(backend="memory")
    server.process.send_signal(signal.SIGHUP)
    assert server.process.wait(15) == 0
    assert [line["signal"] for line in lines(server) if "signal" in line] == ["SIGHUP"]


def test_who_looks_at_stderr_learns_why_it_ended(tmp_path: Path) -> None:
    """Though all lines go to a file."""
    words = ["--data-dir", "/dev/null/x", "--listen-client-urls", "http://127.0.0.1:0"]
    words += ["--listen-peer-urls", "http://127.0.0.1:0", "--log-outputs", str(tmp_path / "log")]
    done = subprocess.run(
        [sys.executable, "-m", "triode", *words], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert done.stderr.startswith("triode: stopped by an error: ")
    assert "/dev/null/x" in done.stderr
    assert "stopped by an error" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("given", [(), ("--log-format", "json")])
def test_lines_for_a_terminal_are_for_people(given: tuple[str, ...]) -> None:
    """Unless a format is asked for."""
    ours, its = pty.openpty()
    words = ["--data-dir", "/dev/null/x", "--listen-client-urls", "http://127.0.0.1:0"]
    words += ["--listen-peer-urls", "http://127.0.0.1:0", *given]
    try:
        done = subprocess.run([sys.executable, "-m", "triode", *words], stderr=its, timeout=30)
        told = os.read(ours, 65536).decode()
    finally:
        os.close(its)
        os.close(ours)
    assert done.returncode == 1
    assert "stopped by an error" in told
    assert told.startswith("{") == bool(given)


def test_the_end_is_graceful(launch_triode: Launch) -> None:
    """An open watch does not hold it up; what was acknowledged is there after a restart."""
    server = launch_triode()
    server.ctl("put", "a", "1")
    with subprocess.Popen(
        [*server.ctl_words, "watch", "a", "--rev", "1"],
        stdout=subprocess.PIPE,
        text=True,
    ) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "PUT\n"
        assert server.stop() == 0
        watch.kill()
    server = launch_triode(data_dir=server.data_dir)
    assert server.ctl("get", "a").stdout == "a\n1\n"


def test_systemd_is_told(
    launch_triode: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """READY=1 and STOPPING=1, at a path and at an abstract address; without a listener it serves, too."""
    for address in (str(tmp_path / "notify"), f"@triode-test-{tmp_path.name}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(address.replace("@", "\0", 1))
            sock.settimeout(10)
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            server = launch_triode(backend="memory")
            assert sock.recv(100) == b"READY=1"
            assert server.stop() == 0
            assert sock.recv(100) == b"STOPPING=1"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    server = launch_triode(backend="memory")
    assert server.ctl("put", "a", "1").stdout == "OK\n"
    assert "failed to notify systemd" in server.log()


# --- what cannot start says why -----------------------------------------------------------------


def test_a_data_directory_has_one_owner(launch_triode: Launch, refused: Refused) -> None:
    """The second one is told to go elsewhere, and the first goes on."""
    server = launch_triode()
    said = refused("--data-dir", str(server.data_dir))["error"]
    assert str(server.data_dir) in said
    assert "lock" in said or "another" in said
    assert server.ctl("put", "a", "1").stdout == "OK\n"


def test_a_port_in_use(refused: Refused, tmp_path: Path) -> None:
    """The message has the URL and says what to do; nothing is left in the data directory's place."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = refused("--data-dir", str(tmp_path / "data"), listen=url)["error"]
    assert said.startswith(f"listen {url}: address already in use")
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be(refused: Refused, tmp_path: Path) -> None:
    """Its path and the system's reason."""
    (tmp_path / "file").write_text("")
    said = refused("--data-dir", str(tmp_path / "file" / "data"))["error"]
    assert said.startswith("cannot make")
    assert str(tmp_path / "file" / "data") in said
    assert said.endswith("Not a directory")


@pytest.mark.etcd
def test_a_data_directory_of_etcd(launch_etcd: Launch, refused: Refused) -> None:
    """It is not touched; the message says how to bring the data over."""
    etcd = launch_etcd()
    etcd.stop()
    before = sorted(path for path in etcd.data_dir.rglob("*") if path.name != ".lock")
    said = refused("--data-dir", str(etcd.data_dir))["error"]
    assert "is a data directory of etcd" in said
    assert "snapshot save" in said
    assert sorted(path for path in etcd.data_dir.rglob("*") if path.name != ".lock") == before


def test_settings_that_cannot_be(refused: Refused, tmp_path: Path) -> None:
    """In the log, like everything else."""
    line = refused("--election-timeout", "200")
    assert line["msg"] == "failed to verify flags"
    assert line["error"].startswith("election-timeout: 200 ms is less than")
    assert refused("--cert-file", "x")["error"] == "--cert-file: TLS is not supported yet"
    said = refused("--log-outputs", str(tmp_path / "absent" / "log"))["error"]
    assert said.startswith("log-outputs: cannot write")


def test_joining_nobody(refused: Refused, launch_triode: Launch, tmp_path: Path) -> None:
    """A new member is refused; a restarted one has joined long ago, as its manifest may still say."""
    existing = ("--initial-cluster-state", "existing")
    where = tmp_path / "new"
    said = refused("--data-dir", str(where), *existing)["error"]
    assert said.startswith("cannot fetch cluster info from peer urls")
    assert launch_triode(data_dir=where).stop() == 0
    assert launch_triode(*existing, data_dir=where).ctl("put", "a", "1").stdout == "OK\n"


def test_stop_without_a_quorum(tmp_path: Path) -> None:
    """A member that still waits for the others ends when it is asked to, and with 0."""
    url = "http://127.0.0.1:{}".format
    words = [sys.executable, "-m", "triode", "--name", "a", "--data-dir", str(tmp_path / "a")]
    words += ["--listen-client-urls", url(0), "--listen-peer-urls", url(0)]
    words += [
        "--initial-advertise-peer-urls",
        url(1),
        "--initial-cluster",
        f"a={url(1)},b={url(2)}",
    ]
    words += ["--heartbeat-interval", "10", "--election-timeout", "100"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any("became pre-candidate" in line for line in process.stderr)
            process.terminate()
            said = process.stderr.read()
            assert process.wait(20) == 0, said
        finally:
            process.kill()
    assert "received signal; shutting down" in said
