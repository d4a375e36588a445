"""A previous value that cannot be read: nobody misses an event, is told one twice, or is told that all is there."""

from __future__ import annotations

from typing import Any

import pytest

from triode.errors import CorruptData
from triode.mvcc.events import Event


@pytest.fixture
def unreadable(member: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(event: Event) -> bytes:
        raise CorruptData(f"revision {event.mod_revision}: a page is malformed")

    monkeypatch.setattr(member.store, "prev_kv", fail)


def readers_of(member: Any, start_revision: int = 0) -> tuple[Any, Any]:
    """One that can be served, and one that wants to know what was there before."""
    plain, with_previous = member.reader(), member.reader()
    plain.create(b"a", start_revision=start_revision)
    with_previous.create(b"a", b"c", prev_kv=True, start_revision=start_revision)
    plain.take()
    with_previous.take()
    return plain, with_previous


@pytest.mark.usefixtures("unreadable")
def test_nobody_is_told_of_a_batch_that_could_not_be_handed_out(member: Any) -> None:
    """Until the member has ended, a progress response must not speak for it: clients go on from there."""
    member.put(b"a")
    readers = readers_of(member)
    waiting = member.reader()
    waiting.create(b"a", start_revision=9)
    waiting.take()
    member.paused = True
    for _ in range(8):
        member.put(b"a")
    with pytest.raises(CorruptData):
        member.announce()
    for reader in readers:
        reader.stream.request_progress()
        (progress,) = reader.take()
        assert not progress.events
        assert progress.header.revision == 2
    waiting.stream.close()  # it is filed where it was


def test_what_is_caught_up_after_a_failure_is_told_once(
    member: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broadcaster begins again: those who could be served have had nothing yet."""
    for _ in range(3):
        member.put(b"a")
    plain, with_previous = readers_of(member, start_revision=2)
    with monkeypatch.context() as broken:

        def fail(_event: Event) -> bytes:
            raise CorruptData("a page is malformed")

        broken.setattr(member.store, "prev_kv", fail)
        with pytest.raises(CorruptData):
            member.catch_up()
    member.catch_up()
    for reader in (plain, with_previous):
        assert [revision for _, revision, _ in reader.events()] == [2, 3, 4]
