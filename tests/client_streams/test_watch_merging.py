"""What a watch makes of the responses that come to it: in parts, again, with losses in between. No server, no clock."""

# ruff: noqa: PT012  # the block is what is tested
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triode
from triode.client.watch import Watch
from triode.rpc.pb.kv_pb2 import Event as EventMessage
from triode.rpc.pb.kv_pb2 import KeyValue
from triode.rpc.pb.rpc_pb2 import ResponseHeader, WatchCreateRequest, WatchResponse

FIRST = 10


class Script:
    """A server that tells of revisions 10, 11, ... with so many events each, as the drawn choices say."""

    def __init__(self, sizes: list[int], draw: st.DataObject) -> None:
        self.events = [
            EventMessage(kv=KeyValue(key=b"%d" % n, mod_revision=FIRST + at))
            for at, size in enumerate(sizes)
            for n in range(size)
        ]
        self.draw = draw

    def respond(self, start: int) -> list[WatchResponse]:
        """The next response to a watch that asked for everything from `start`, perhaps in parts."""
        end = self.draw.draw(st.integers(start, FIRST + len(self.events)), label="up to")
        meant = [e for e in self.events if start <= e.kv.mod_revision <= end]
        parts: list[WatchResponse] = []
        while meant:
            size = self.draw.draw(st.integers(1, len(meant)), label="events in a part")
            parts.append(
                WatchResponse(
                    header=ResponseHeader(revision=end),
                    events=meant[:size],
                    fragment=size < len(meant),
                )
            )
            meant = meant[size:]
        return parts or [WatchResponse(header=ResponseHeader(revision=start - 1))]


async def told(watch: Watch) -> list[tuple[int, bytes]]:
    """Everything that waits."""
    watch.fail(triode.WatchCompacted(0))
    found: list[tuple[int, bytes]] = []
    with pytest.raises(triode.WatchCompacted):
        async for event in watch:
            found += [(event.revision, event.key)]
    return found


@settings(deadline=None)  # of time: the machine may be busy
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=8), draw=st.data())
async def test_each_event_once_and_in_order(sizes: list[int], draw: st.DataObject) -> None:
    """Whatever parts come, and wherever the stream is lost, and even if a member that was behind tells again."""
    script = Script(sizes, draw)
    watch = Watch(WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=FIRST))
    for _ in range(30):
        watch.take_created(1)
        start = watch.position
        if draw.draw(st.booleans(), label="tells again"):
            start = draw.draw(st.integers(FIRST, start), label="from")
        parts = script.respond(start)
        lost_after = draw.draw(st.integers(0, len(parts)), label="parts before the loss")
        for part in parts[:lost_after]:
            watch.accept(part, part.ByteSize())
        if lost_after < len(parts):
            watch.lost()
        if watch.position >= FIRST + len(sizes):
            break
    else:
        for part in script.respond(watch.position):  # enough of chance
            watch.accept(part, part.ByteSize())
    expected = [(e.kv.mod_revision, e.kv.key) for e in script.events]
    got = await told(watch)
    assert got == expected[: len(got)]
    if watch.position >= FIRST + len(sizes):
        assert got == expected


async def test_parts_of_a_lost_response_do_not_count() -> None:
    watch = Watch(WatchCreateRequest(key=b"k", start_revision=FIRST))
    event = EventMessage(kv=KeyValue(key=b"k", mod_revision=FIRST))
    part = WatchResponse(events=[event], fragment=True)
    watch.accept(part, 10)
    watch.lost()
    assert watch.position == FIRST
    whole = WatchResponse(events=[event], header=ResponseHeader(revision=FIRST))
    watch.accept(whole, 10)
    assert await told(watch) == [(FIRST, b"k")]


async def test_progress_moves_a_quiet_watch_but_an_answer_to_a_request_does_not() -> None:
    """Before 3.5.8, etcd's answer to a request may overtake events."""
    watch = Watch(WatchCreateRequest(key=b"k", start_revision=FIRST))
    watch.accept_progress(WatchResponse(header=ResponseHeader(revision=50)), 10)
    assert watch.position == FIRST
    watch.accept(WatchResponse(header=ResponseHeader(revision=40)), 10)
    assert watch.position == 41
    watch.accept(WatchResponse(header=ResponseHeader(revision=20)), 10)  # a member that is behind
    assert watch.position == 41
    assert await told(watch) == []
    assert watch.progress_revision == 50
