# ruff: noqa: PT012  # a tree fails while its body waits
from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from triode.actors import Actor, ActorFailed, Restart, State, Supervisor, running


class Idle(Actor[str]):
    restart = Restart.NEVER

    async def handle(self, batch: list[str]) -> None:
        if "interrupt" in batch:
            raise KeyboardInterrupt
        raise ValueError(batch[0])


class Stubborn(Idle):
    stop_seconds_max = 3.0

    async def stopping(self) -> None:
        await trio.sleep_forever()


async def test_the_bodys_error_comes_out_as_it_is() -> None:
    error = KeyError("body")
    error.__cause__ = cause = OSError()
    with pytest.raises(KeyError) as caught:
        async with running(Idle()) as actor:
            raise error
    assert caught.value is error
    assert error.__cause__ is cause
    assert actor.state is State.STOPPED


async def test_a_failing_tree_cancels_the_body() -> None:
    with pytest.raises(ActorFailed) as caught:
        async with running(Supervisor("root", [Idle()])) as root:
            root.children[0].ref.tell("boom")
            await trio.sleep_forever()
    assert str(caught.value) == "root/Idle failed: ValueError('boom')"
    assert isinstance(caught.value.__cause__, ValueError)


async def test_when_both_fail_both_come_out() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with running(Idle()) as actor:
            actor.ref.tell("boom")
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("body")
    failed, body = caught.value.exceptions
    assert isinstance(failed, ActorFailed)
    assert isinstance(body, KeyError)


async def test_cancelling_the_body_cancels_the_tree(autojump_clock: MockClock) -> None:
    actor = Stubborn()
    with trio.move_on_after(1) as scope:
        async with running(Supervisor("root", [actor])):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() < 1.1
    assert actor.state is State.STOPPED


async def test_a_tree_that_fails_while_it_is_cancelled_still_says_so() -> None:
    class Untidy(Idle):
        def cleanup(self) -> None:
            raise OSError("cannot close")

    with pytest.raises(ActorFailed), trio.CancelScope() as scope:
        async with running(Untidy()):
            scope.cancel()
            await trio.sleep_forever()


@pytest.mark.parametrize("nested", [False, True])
async def test_keyboard_interrupt_is_never_swallowed(nested: bool) -> None:
    actor = Idle()
    root = (
        Supervisor("root", [Supervisor("inner", [actor])]) if nested else Supervisor("r", [actor])
    )
    with pytest.raises(KeyboardInterrupt):
        async with running(root):
            actor.ref.tell("interrupt")
            await trio.sleep_forever()
    assert actor.state is State.STOPPED


async def test_a_root_that_does_not_stop_in_time_is_cancelled(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Stubborn()) as actor:
        pass
    assert trio.current_time() == pytest.approx(3.0, abs=0.1)
    assert actor.state is State.STOPPED
    assert "Stubborn did not stop within its limit" in caplog.text


async def test_running_is_a_checkpoint() -> None:
    with assert_checkpoints():
        async with running(Idle()):
            pass
