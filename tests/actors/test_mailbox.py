from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from triode.actors import Mailbox, MailboxClosed, MailboxFull


async def test_a_batch_is_everything_there_in_order() -> None:
    mailbox: Mailbox[int] = Mailbox(10)
    for i in range(5):
        mailbox.put_nowait(i)
    assert await mailbox.receive() == [0, 1, 2, 3, 4]
    assert len(mailbox) == 0


async def test_a_batch_is_bounded() -> None:
    mailbox: Mailbox[int] = Mailbox(10, batch_max=3)
    for i in range(7):
        mailbox.put_nowait(i)
    assert [await mailbox.receive() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]


async def test_put_nowait_refuses_beyond_the_bound() -> None:
    mailbox: Mailbox[int] = Mailbox(2, name="box")
    mailbox.put_nowait(1)
    mailbox.put_nowait(2)
    with pytest.raises(MailboxFull, match=r"box: .* 2 messages|box: .*\(2 messages\)"):
        mailbox.put_nowait(3)
    assert await mailbox.receive() == [1, 2]
    mailbox.put_nowait(3)


@pytest.mark.parametrize(("messages_max", "batch_max"), [(0, 1), (1, 0), (-1, 1)])
def test_bounds_are_at_least_one(messages_max: int, batch_max: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Mailbox(messages_max, batch_max=batch_max)


async def test_receivers_and_senders_always_checkpoint() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    with assert_checkpoints():
        await mailbox.put(1)
    with assert_checkpoints():
        await mailbox.receive()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, 2)
        with assert_checkpoints():
            await mailbox.receive()


async def test_one_wake_up_for_many_messages() -> None:
    mailbox: Mailbox[int] = Mailbox(100)
    batches: list[list[int]] = []

    async def receive() -> None:
        while True:
            batches.append(await mailbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        for i in range(100):
            mailbox.put_nowait(i)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert batches == [list(range(100))]


async def test_put_waits_for_room_and_keeps_the_order() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    async with trio.open_nursery() as nursery:
        for i in range(6):
            nursery.start_soon(mailbox.put, i)
            await wait_all_tasks_blocked()
        assert mailbox.statistics().senders_waiting == 4
        received: list[int] = []
        while len(received) < 6:
            batch = await mailbox.receive()
            assert len(batch) <= 2
            received += batch
    assert received == [0, 1, 2, 3, 4, 5]


async def test_put_nowait_does_not_overtake_a_waiting_put() -> None:
    mailbox: Mailbox[str] = Mailbox(1)
    mailbox.put_nowait("first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, "waiting")
        await wait_all_tasks_blocked()
        assert mailbox.receive_nowait() == ["first"]
        with pytest.raises(MailboxFull):
            mailbox.put_nowait("late")
        assert mailbox.receive_nowait() == ["waiting"]


async def test_a_cancelled_put_has_not_put(autojump_clock: trio.testing.MockClock) -> None:
    mailbox: Mailbox[str] = Mailbox(1)
    mailbox.put_nowait("first")
    with trio.move_on_after(1):
        await mailbox.put("second")
    assert await mailbox.receive() == ["first"]
    assert len(mailbox) == 0
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.put("third")
    assert len(mailbox) == 0


async def test_a_cancelled_receive_has_not_taken(autojump_clock: trio.testing.MockClock) -> None:
    mailbox: Mailbox[str] = Mailbox(1)
    with trio.move_on_after(1):
        await mailbox.receive()
    mailbox.put_nowait("kept")
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.receive()
    assert await mailbox.receive() == ["kept"]


async def test_a_message_that_meets_a_cancelled_receiver_is_kept() -> None:
    mailbox: Mailbox[str] = Mailbox(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.receive)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        mailbox.put_nowait("kept")
    assert mailbox.peek() == ["kept"]


async def test_closing_refuses_senders_and_lets_the_receiver_drain() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(1)

    async def put_in_vain() -> None:
        with pytest.raises(MailboxClosed):
            await mailbox.put(2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_in_vain)
        await wait_all_tasks_blocked()
        mailbox.close()
    assert mailbox.closed
    with pytest.raises(MailboxClosed):
        mailbox.put_nowait(3)
    with pytest.raises(MailboxClosed):
        await mailbox.put(3)
    assert await mailbox.receive() == [1]
    with pytest.raises(MailboxClosed):
        await mailbox.receive()


async def test_closing_wakes_the_receiver() -> None:
    mailbox: Mailbox[int] = Mailbox(1)

    async def receive_in_vain() -> None:
        with pytest.raises(MailboxClosed):
            await mailbox.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_in_vain)
        await wait_all_tasks_blocked()
        mailbox.close()


async def test_a_second_receiver_is_refused() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.receive)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await mailbox.receive()
        nursery.cancel_scope.cancel()


async def test_clear_drops_the_queue_and_admits_those_who_wait() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put_nowait(1)
    mailbox.put_nowait(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, 3)
        await wait_all_tasks_blocked()
        assert mailbox.clear() == 2
    assert mailbox.receive_nowait() == [3]
    assert mailbox.receive_nowait() == []


async def test_statistics() -> None:
    mailbox: Mailbox[int] = Mailbox(10, batch_max=4)
    for i in range(6):
        mailbox.put_nowait(i)
    await mailbox.receive()
    await mailbox.receive()
    mailbox.put_nowait(6)
    statistics = mailbox.statistics()
    assert (statistics.depth, statistics.depth_max, statistics.messages_max) == (1, 6, 10)
    assert (statistics.messages_received, statistics.batches_received) == (6, 2)
    assert (statistics.senders_waiting, statistics.closed) == (0, False)


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_lost_doubled_or_reordered(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Senders of all kinds, some cancelled, against the order in which each sender sent."""
    random = Random(seed)
    mailbox: Mailbox[tuple[int, int]] = Mailbox(
        random.randint(1, 5), batch_max=random.randint(1, 4)
    )
    sent: dict[int, list[int]] = {sender: [] for sender in range(4)}
    received: dict[int, list[int]] = {sender: [] for sender in range(4)}

    async def send(sender: int) -> None:
        for i in range(50):
            with trio.move_on_after(random.choice([0, 0.01, 1])):
                try:
                    mailbox.put_nowait((sender, i))
                except MailboxFull:
                    await mailbox.put((sender, i))
                sent[sender].append(i)
            await trio.sleep(random.choice([0, 0, 0.02]))

    async def receive() -> None:
        while True:
            with trio.move_on_after(random.choice([0, 0.01, 1])):
                for sender, i in await mailbox.receive():
                    received[sender].append(i)
            await trio.sleep(random.choice([0, 0.03]))

    async with trio.open_nursery() as receivers:
        receivers.start_soon(receive)
        async with trio.open_nursery() as senders:
            for sender in sent:
                senders.start_soon(send, sender)
        await trio.sleep(10)
        receivers.cancel_scope.cancel()
    assert received == sent
    assert any(sent.values())
