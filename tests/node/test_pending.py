"""Calls that wait for their entries, over changes of the leader."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from triode.actors import proposals
from triode.actors.applier import Applier, Apply
from triode.actors.call import Call
from triode.actors.pending import Pending
from triode.actors.world import World
from triode.errors import EtcdError, LeaderChanged, TimeoutDueToLeaderFail
from triode.raft.types import Entry, EntryType
from triode.rpc.pb.rpc_pb2 import PutRequest


class Ends:
    """A sink that keeps how calls ended."""

    def __init__(self) -> None:
        self.ended: dict[int, str] = {}

    def answer(self, tag: int, message: bytes) -> None:
        self.ended[tag] = message.decode()

    def refuse(self, tag: int, error: EtcdError) -> None:
        self.ended[tag] = type(error).__name__


def test_an_index_is_given_again() -> None:
    """A leader that lost its tail and was elected again, before it applied what came between."""
    pending, ends = Pending(), Ends()
    for tag, (index, term) in enumerate([(10, 2), (11, 2), (11, 4)]):
        pending.appended(Call(ends, tag), index, term)
    assert ends.ended == {1: LeaderChanged.__name__}
    assert {index: call.tag for index, call in pending.by_index.items()} == {10: 0, 11: 2}
    pending.new_term(4)
    assert ends.ended == {0: LeaderChanged.__name__, 1: LeaderChanged.__name__}


def test_a_snapshot_takes_their_place() -> None:
    """What it covers may have happened; what comes after it did not."""
    pending, ends = Pending(), Ends()
    for tag, index in enumerate((10, 11, 12)):
        pending.appended(Call(ends, tag), index, 2)
    pending.installed(11, 3)
    unknown, lost = TimeoutDueToLeaderFail.__name__, LeaderChanged.__name__
    assert ends.ended == {0: unknown, 1: unknown, 2: lost}


class Executed:
    """An executor that keeps what it was told to do."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.store = SimpleNamespace(
            term=3, consistent_index=0, backend=SimpleNamespace(pending_ops=0)
        )

    def execute(self, kind: int, request: Any, *, answered: bool) -> bytes:
        self.done.append((kind, request, answered))
        return b"done"


async def test_an_entry_is_executed_for_what_it_is() -> None:
    """Not for the call that had its index in another term, even if no entry of the new term was seen before."""
    pending, ends, executor = Pending(), Ends(), Executed()
    stale = Call(ends, 0)
    stale.kind, stale.request = proposals.PUT, PutRequest(key=b"stale")
    pending.appended(stale, 98, 2)
    applier = Applier(
        executor,  # type: ignore[arg-type]
        World.real(),
        pending,
        applied_index=97,
        batch_limit=1000,
        warning_seconds=9.0,
    )
    put = PutRequest(key=b"fresh")
    ids = proposals.RequestIds(7, 1000)
    data = proposals.encode(proposals.PUT, put.SerializeToString(), ids.header())
    applier.handle_now([Apply([Entry(3, 98, EntryType.NORMAL, data)])])
    assert executor.done == [(proposals.PUT, put, False)]
    assert ends.ended == {0: LeaderChanged.__name__}
