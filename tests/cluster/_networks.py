"""A network namespace for each member, joined by a bridge: links that can be cut in one direction.

Everything lives in namespaces of our own, which vanish with the processes that hold them: nothing is left on the
machine. Packets are lost silently, as they are behind a switch that fails: the neighbour is looked for at an address
that nobody has. Clients come by unix sockets, which know no network namespaces.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from functools import cache
from typing import Any

READY = "echo ready; exec sleep infinity"
UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
NOBODY = "02:00:00:00:00:fe"


@cache
def why_not() -> str:
    """Why this machine has no network namespaces for us; empty when it has."""
    script = "ip link add br0 type bridge && ip link add v0 type veth peer name v1"
    try:
        done = subprocess.run(
            [*UNSHARE, "sh", "-c", script], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


class Networks:
    """The namespaces of `count` members, all connected."""

    def __init__(self, count: int) -> None:
        self._holders: list[subprocess.Popen[str]] = []
        try:
            self._hub = self._hold(*UNSHARE)
            self._in(self._hub, "ip link add br0 type bridge && ip link set br0 up")
            self._members = [self._member(number) for number in range(count)]
            self._count = count
            self.heal()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def host(number: int) -> str:
        """The address of a member."""
        return f"10.77.0.{number + 1}"

    @staticmethod
    def _hardware(number: int) -> str:
        return f"02:00:00:00:00:{number + 1:02x}"

    def prefix(self, number: int) -> tuple[str, ...]:
        """What comes before a command that is to run where a member lives."""
        return self._enter(self._members[number])

    def drop(self, sender: int, receiver: int) -> None:
        """From now on nothing of what one sends gets to the other."""
        self._neighbour(sender, receiver, NOBODY)

    def partition(self, one: Iterable[int], other: Iterable[int]) -> None:
        """Nothing gets from one side to the other, nor back."""
        sides = (list(one), list(other))
        for a in sides[0]:
            for b in sides[1]:
                self.drop(a, b)
                self.drop(b, a)

    def heal(self) -> None:
        """Everybody reaches everybody."""
        for sender in range(self._count):
            for receiver in range(self._count):
                if sender != receiver:
                    self._neighbour(sender, receiver, self._hardware(receiver))

    def close(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.wait()
            assert holder.stdout is not None
            holder.stdout.close()

    def _member(self, number: int) -> int:
        pid = self._hold(*self._enter(self._hub), "unshare", "--net")
        self._in(
            self._hub,
            f"ip link add v{number} type veth peer name eth0 netns {pid}"
            f" && ip link set v{number} master br0 up",
        )
        self._in(
            pid,
            "ip link set lo up"
            f" && ip link set eth0 address {self._hardware(number)} up"
            f" && ip address add {self.host(number)}/24 dev eth0",
        )
        return pid

    def _neighbour(self, sender: int, receiver: int, hardware: str) -> None:
        self._in(
            self._members[sender],
            f"ip neigh replace {self.host(receiver)} lladdr {hardware} dev eth0 nud permanent",
        )

    def _hold(self, *prefix: str) -> int:
        """Start a process that does nothing in new namespaces; returns its ID once they are there."""
        process = subprocess.Popen([*prefix, "sh", "-c", READY], stdout=subprocess.PIPE, text=True)
        self._holders.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process.pid

    @staticmethod
    def _enter(pid: int) -> tuple[str, ...]:
        return ("nsenter", "--target", str(pid), "--user", "--net", "--preserve-credentials")

    def _in(self, pid: int, script: str) -> None:
        done = subprocess.run(
            [*self._enter(pid), "sh", "-c", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}: {done.stderr}"


def place(networks: Any, daemons: list[Any]) -> None:
    """Give each member a namespace as its place."""
    for number, daemon in enumerate(daemons):
        daemon.prefix = networks.prefix(number)
        daemon.host = networks.host(number)
        daemon.socket_name = f"c{number}"
