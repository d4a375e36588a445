"""A snapshot is there as a whole or not at all."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from triode.rpc.pb.rpc_pb2 import SnapshotResponse


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def digest_is_right(path: Path) -> bool:
    data = path.read_bytes()
    return hashlib.sha256(data[:-32]).digest() == data[-32:]


def test_a_snapshot(server: Any, ctl: Callable[..., Any], folder: Path) -> None:
    """What etcdctl has to say of the file is what ours has."""
    assert ctl("put", "snapshot/key", "value").code == 0
    done = ctl("snapshot", "save", str(folder / "a.db"))
    expected = f"Snapshot saved at {folder}/a.db\n"
    if server.name == "triode":
        expected += "Server version 3.6.0\n"
    assert (done.code, done.out, done.err) == (0, expected, "")
    assert names(folder) == ["a.db"]
    assert (folder / "a.db").stat().st_mode & 0o777 == 0o600
    assert digest_is_right(folder / "a.db")


def test_the_offline_part_has_moved(ctl: Callable[..., Any], folder: Path) -> None:
    """`status` and `restore` still do it, and say where they live."""
    assert ctl("snapshot", "save", str(folder / "a.db")).code == 0
    status = ctl("snapshot", "status", str(folder / "a.db"), "-w", "json")
    assert status.err == "Deprecated: Use `triodeutl snapshot status` instead.\n\n"
    assert '"totalKey":' in status.out
    into = folder / "restored"
    done = ctl("snapshot", "restore", str(folder / "a.db"), "--data-dir", str(into))
    assert done.err.startswith("Deprecated: Use `triodeutl snapshot restore` instead.\n\n")
    assert done.code == 0, done.err
    assert into.is_dir()
    again = ctl("snapshot", "restore", str(folder / "a.db"), "--data-dir", str(into))
    assert again.code == 1
    assert ctl("snapshot", "status").code == 128


def test_exactly_one_endpoint(server: Any, here: Callable[..., Any], folder: Path) -> None:
    endpoints = f"{server.address},127.0.0.1:1"
    done = here("--endpoints", endpoints, "snapshot", "save", str(folder / "a.db"))
    text = "snapshot must be requested to one selected node, not multiple"
    assert (done.code, done.error) == (5, f"Error: {text} [{server.address} 127.0.0.1:1]")
    assert names(folder) == []


def test_nowhere_to_write(ctl: Callable[..., Any], folder: Path) -> None:
    done = ctl("snapshot", "save", str(folder / "missing" / "a.db"))
    assert done.code == 5
    assert done.error.startswith(f"Error: could not open {folder}/missing/a.db.part (")
    (folder / "taken").mkdir()
    done = ctl("snapshot", "save", str(folder / "taken"))
    assert done.code == 5
    assert done.error.startswith(f"Error: could not rename {folder}/taken.part to {folder}/taken (")
    assert names(folder) == ["taken"]
    assert ctl("snapshot", "save").code == 128
    assert ctl("snapshot", "save", "a", "b").code == 128


# --- servers that stop half-way -----------------------------------------------------------------


class HalfServer:
    """Answers Snapshot with `pieces`, then waits for `go_on`, then ends the call as it is told."""

    def __init__(self, pieces: list[bytes], code: grpc.StatusCode) -> None:
        self.go_on = threading.Event()
        self._pieces = pieces
        self._code = code
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        handlers = {"Snapshot": grpc.unary_stream_rpc_method_handler(self._snapshot)}
        service = grpc.method_handlers_generic_handler("etcdserverpb.Maintenance", handlers)
        self.server.add_generic_rpc_handlers((service,))
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def _snapshot(self, _request: bytes, context: Any) -> Iterator[bytes]:
        left = sum(map(len, self._pieces))
        for piece in self._pieces:
            left -= len(piece)
            answer = SnapshotResponse(remaining_bytes=left, blob=piece)
            yield answer.SerializeToString()
        self.go_on.wait(30)
        if self._code is not grpc.StatusCode.OK:
            context.abort(self._code, "the disk is gone")


@pytest.fixture
def half_server() -> Iterator[Callable[..., HalfServer]]:
    started: list[HalfServer] = []

    def launch(*pieces: bytes, code: grpc.StatusCode = grpc.StatusCode.OK) -> HalfServer:
        started.append(HalfServer(list(pieces), code))
        return started[-1]

    yield launch
    for one in started:
        one.go_on.set()
        one.server.stop(None).wait()


def test_a_member_that_fails(
    half_server: Callable[..., HalfServer], here: Callable[..., Any], folder: Path
) -> None:
    """Nothing is left of half a snapshot, and an older one stays."""
    (folder / "a.db").write_bytes(b"older")
    server = half_server(b"x" * 512, code=grpc.StatusCode.UNKNOWN)
    server.go_on.set()
    done = here("--endpoints", server.address, "snapshot", "save", str(folder / "a.db"))
    assert done.code == 5
    assert done.error.startswith("Error: could not write snapshot: ")
    assert "the disk is gone" in done.error
    assert names(folder) == ["a.db"]
    assert (folder / "a.db").read_bytes() == b"older"


def test_a_snapshot_without_its_digest(
    half_server: Callable[..., HalfServer], here: Callable[..., Any], folder: Path
) -> None:
    server = half_server(b"x" * 512)
    server.go_on.set()
    done = here("--endpoints", server.address, "snapshot", "save", str(folder / "a.db"))
    assert (done.code, done.error) == (5, "Error: sha256 checksum not found [bytes: 512]")
    assert names(folder) == []


def test_a_deadline_of_ones_own(
    half_server: Callable[..., HalfServer], here: Callable[..., Any], folder: Path
) -> None:
    """Without the flag there is none; with it, it counts for the whole."""
    server = half_server(b"x" * 512)
    common = ("--endpoints", server.address, "--command-timeout=200ms")
    done = here(*common, "snapshot", "save", str(folder / "a.db"))
    assert (done.code, done.error) == (5, "Error: context deadline exceeded")
    assert names(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption(
    half_server: Callable[..., HalfServer],
    terminal: Callable[..., Any],
    folder: Path,
    number: signal.Signals,
) -> None:
    """On a terminal there is a bar; Ctrl-C removes it and the half of the file."""
    server = half_server(b"x" * 512, b"y" * 512)
    screen = terminal("--endpoints", server.address, "snapshot", "save", str(folder / "a.db"))
    screen.until("snapshot .*1.0/1.0 kB")
    assert names(folder) == ["a.db.part"]
    if number is signal.SIGINT:
        screen.type("\x03")
    else:
        screen.process.send_signal(number)
    screen.until("Error: could not write snapshot: context canceled")
    assert screen.end()[0] == 5
    assert names(folder) == []
