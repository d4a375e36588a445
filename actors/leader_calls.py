"""What only the leader can say: asked for here, or at the leader by way of the links.

A leader may be gone before the question has reached it, so it is asked again, at whoever leads then, until the
request's time is over. Source: etcd's waitLeader and the loops around it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from ..errors import EtcdError, NoLeader, RequestTimeout, TimeoutWaitAppliedIndex
from .call import Call, Waiter
from .context import NodeContext
from .log import Log
from .peers.contract import PeerReply

__all__ = ["applied", "ask_leader", "confirm_leadership", "up_to_date"]

AGAIN_SECONDS = 0.05  # etcd's throttle
APPLIED_SECONDS_MAX = 1.0
log = Log("triode.peers")
T = TypeVar("T")


async def ask_leader(
    node: NodeContext,
    here: Callable[[], Awaitable[T | None]],
    verb: str,
    target: str,
    body: bytes,
    read: Callable[[PeerReply], T | None],
) -> T:
    """What `here` gives if this member leads, else what `read` makes of the leader's reply.

    None of either means to ask again. Raises NoLeader when there was none in all of the time, RequestTimeout
    otherwise, and what `here` and `read` raise.
    """
    with trio.move_on_after(node.proposer.timeout_seconds):
        while True:
            found = await _once(node, here, verb, target, body, read)
            if found is not None:
                return found
            await trio.sleep(AGAIN_SECONDS)
    raise RequestTimeout if node.raft.leader else NoLeader


async def _once(
    node: NodeContext,
    here: Callable[[], Awaitable[T | None]],
    verb: str,
    target: str,
    body: bytes,
    read: Callable[[PeerReply], T | None],
) -> T | None:
    while not node.raft.leader:
        await node.raft.wait_leader_change()
    if node.raft.is_leader:
        return await here()
    leader = node.raft.leader
    try:
        reply = await node.peers.ask(leader, verb, target, body)
    except OSError as error:
        log.warning("the leader did not answer", leader=f"{leader:x}", error=str(error))
        return None
    return read(reply)


async def confirm_leadership(node: NodeContext) -> bool:
    """Whether this member leads, as a quorum confirms after this was asked.

    That a member believes it leads proves nothing: it may be cut off, or may have been stopped (a debugger, a
    suspended machine) while the others elected another one. No clock tells, for clocks may have stood still as well.
    A round of heartbeats does (`raft.read_only`): every leader to come is elected after its begin. So a lease that is
    renewed on its strength lasts its whole term under the next leader, too, which begins all terms anew when it is
    elected. The rounds are those of linearizable reads, and shared like them. Source: etcd's ensureLeadership, which
    asks only when ticks are missing.
    """
    if not node.raft.is_leader:
        return False
    try:
        await up_to_date(node)
    except EtcdError as error:
        log.warning("failed to check current member's leadership", error=error.message)
        return False
    return node.raft.is_leader


async def up_to_date(node: NodeContext) -> None:
    """Return when everything is applied here that anybody had committed before; raises what a read may fail with."""
    await trio.lowlevel.checkpoint()
    if node.reads_locally:
        return
    waiter = Waiter()
    call = Call(waiter, 0)
    node.read_index(call, lambda: call.answer(b""))
    await waiter.wait(node.proposer.timeout_seconds)


async def applied(node: NodeContext) -> None:
    """Return when everything is applied that is committed now; raises TimeoutWaitAppliedIndex."""
    await trio.lowlevel.checkpoint()
    committed = node.raft.commit_index
    if node.applied_index() >= committed:
        return
    reached = trio.Event()
    node.when_applied(committed, reached.set)
    with trio.move_on_after(APPLIED_SECONDS_MAX):
        await reached.wait()
        return
    raise TimeoutWaitAppliedIndex
