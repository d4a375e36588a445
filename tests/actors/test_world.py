from __future__ import annotations

import time

import pytest
import trio
from trio.testing import MockClock

from triode.actors import World


async def test_the_clock_is_trios(autojump_clock: MockClock) -> None:
    world = World.real()
    began = world.clock.now()
    await trio.sleep(1000)
    assert world.clock.now() - began == pytest.approx(1000)
    assert abs(world.clock.wall() - time.time()) < 60


def test_chance_repeats_itself_with_a_seed() -> None:
    assert World.real(seed=7).random.random() == World.real(seed=7).random.random()
    assert World.real(seed=7).random.random() != World.real(seed=8).random.random()


async def test_the_network_carries_bytes() -> None:
    network = World.real().network
    (listener,) = await network.listen("127.0.0.1", 0)
    assert isinstance(listener, trio.SocketListener)
    port = listener.socket.getsockname()[1]
    async with listener, trio.open_nursery() as nursery:

        async def serve() -> None:
            async with await listener.accept() as stream:
                await stream.send_all(await stream.receive_some(100))

        nursery.start_soon(serve)
        async with await network.connect("127.0.0.1", port) as stream:
            await stream.send_all(b"there and back")
            assert await stream.receive_some(100) == b"there and back"
