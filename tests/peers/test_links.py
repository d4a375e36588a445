"""Two nodes over loopback: streams, pipeline, order, reconnection."""

from __future__ import annotations

from typing import Any

from triode.raft.types import Message, MessageType


async def test_messages_arrive_in_order_on_both_streams(t: Any) -> None:
    """What is sent is what is stepped, appends and the rest."""
    async with t.pair() as (_, of_a, b, _):
        sent = []
        for n in range(50):
            sent.append(t.append(t.B, 1 + 3 * n, 3))
            of_a.send([sent[-1], t.heartbeat(t.B, commit=n)])
        await t.until(lambda: len(b.stepped) == 100)
        appends = [t.plain(m) for m in b.stepped if m.type is MessageType.APP]
        assert appends == sent
        assert [m.commit for m in b.stepped if m.type is MessageType.HEARTBEAT] == list(range(50))
        assert of_a.active_since(t.B) is not None


async def test_before_there_are_streams_messages_go_by_the_pipeline(t: Any) -> None:
    """B knows nothing of A yet, so that nobody dials; A's messages come all the same, and B can answer."""
    a, b = t.Owner(t.A), t.Owner(t.B)
    of_a, of_b = t.make(a), t.make(b)
    of_a.add(t.B, b.peer_urls)
    of_a.send([t.append(t.B, 1, 2)])  # before anything runs
    async with t.run(of_a, of_b):
        await t.until(lambda: b.stepped)
        assert t.plain(b.stepped[0]) == t.append(t.B, 1, 2)
        answer = Message(MessageType.APP_RESP, to=t.A, from_=t.B, term=2, index=2)
        of_b.send([answer])
        await t.until(lambda: a.stepped)
        assert a.stepped == [answer]
        assert of_a.link(t.B).status.active_since is None or not b.lost
