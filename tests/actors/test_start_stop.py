from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from triode.actors import (
    Actor,
    ActorFailed,
    ActorStopped,
    NameTaken,
    Restart,
    StartFailed,
    State,
    Supervisor,
    running,
)

MakeProbe = Callable[..., Any]
Take = Callable[[], list[str]]


async def test_children_start_in_order_and_stop_in_reverse_order(
    probe: MakeProbe, take: Take, autojump_clock: MockClock
) -> None:
    a, b, c = probe("a"), probe("b"), probe("c")
    a.start_seconds = c.stop_seconds = 1.0
    async with running(Supervisor("root", [a, b, c])):
        assert trio.current_time() == pytest.approx(1.0, abs=0.1)
        assert take() == ["starts a", "starts b", "starts c"]
    assert take() == [
        "stopping c", "down c", "stopping b", "down b", "stopping a", "down a",
    ]  # fmt: skip


async def test_nested_supervisors_are_one_step_of_the_order(probe: MakeProbe, take: Take) -> None:
    tree = Supervisor("root", [probe("a"), Supervisor("in", [probe("b"), probe("c")]), probe("d")])
    async with running(tree):
        assert take() == ["starts a", "starts b", "starts c", "starts d"]
    assert [event for event in take() if event.startswith("down")] == [
        "down d", "down c", "down b", "down a",
    ]  # fmt: skip


async def test_a_failed_start_takes_down_the_started_ones_in_reverse_order(
    probe: MakeProbe, take: Take
) -> None:
    children = [probe(name) for name in "abcdefgh"]
    children[6].start_errors = [OSError("g")]
    with pytest.raises(StartFailed, match=r"root/g did not start: OSError\('g'\)") as caught:
        async with running(Supervisor("root", children)):
            pytest.fail("the body ran")
    assert isinstance(caught.value.__cause__, OSError)
    assert take() == [
        *[f"starts {name}" for name in "abcdef"],
        "fails g",
        *[f"down {name}" for name in "gfedcba"],
    ]
    assert {child.state for child in children} == {State.STOPPED}


async def test_a_failed_start_deep_in_the_tree_names_the_actor(
    probe: MakeProbe, take: Take
) -> None:
    b = probe("b")
    b.start_errors = [OSError("b")]
    tree = Supervisor("root", [probe("a"), Supervisor("inner", [b])])
    with pytest.raises(StartFailed, match=r"^root/inner/b did not start"):
        async with running(tree):
            pytest.fail("the body ran")
    assert take() == ["starts a", "fails b", "down b", "down a"]


async def test_a_child_that_is_too_slow_to_stop_is_cancelled_and_named(
    probe: MakeProbe, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = probe("a"), probe("b")
    b.stop_seconds, b.stop_seconds_max = 100.0, 2.0
    async with running(Supervisor("root", [a, b])) as root:
        pass
    assert trio.current_time() == pytest.approx(2.0, abs=0.1)
    assert root.too_slow == ("root/b",)
    assert "root/b did not stop within its limit" in caplog.text
    assert (a.state, b.state) == (State.STOPPED, State.STOPPED)


async def test_temporary_neighbours_are_stopped_at_once(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    root = Supervisor("root", [probe("listener")])
    async with running(root):
        for i in range(50):
            child = probe(f"connection {i}", Restart.TEMPORARY)
            child.stop_seconds = 3.0
            root.start_child_nowait(child)
    assert trio.current_time() == pytest.approx(3.0, abs=0.1)
    assert root.too_slow == ()


async def test_an_error_while_stopping_does_not_keep_the_others_up(
    probe: MakeProbe, take: Take
) -> None:
    a, b, c = probe("a"), probe("b"), probe("c")
    b.stop_error = OSError("flush")
    async with running(Supervisor("root", [a, b, c])):
        take()
    assert "stopping a" in take()
    assert "OSError: flush" in (b.statistics().last_error or "")


async def test_an_error_of_a_vital_actor_while_stopping_fails_the_tree(
    probe: MakeProbe, take: Take
) -> None:
    """The elder ones are taken down: draining into a failed disk makes nothing better."""
    a, b, c = probe("a"), probe("b", Restart.NEVER), probe("c")
    b.stop_error = OSError("flush")
    with pytest.raises(ActorFailed, match="root/b failed"):
        async with running(Supervisor("root", [a, b, c])):
            take()
    assert take() == ["stopping c", "down c", "stopping b", "down b", "down a"]


# --- at run time --------------------------------------------------------------------------------


async def test_start_child_waits_for_the_start(probe: MakeProbe, autojump_clock: MockClock) -> None:
    async with running(Supervisor("root")) as root:
        child = probe("late")
        child.start_seconds = 4.0
        with assert_checkpoints():
            ref = await root.start_child(child)
        assert trio.current_time() == pytest.approx(4.0, abs=0.1)
        assert child.state is State.RUNNING
        assert ref is child.ref
        assert root.child("late") is child
        assert root.child("other") is None


async def test_start_child_of_one_that_fails(probe: MakeProbe, take: Take) -> None:
    async with running(Supervisor("root", [probe("a")])) as root:
        child = probe("late", Restart.NEVER)
        child.start_errors = [OSError("late")]
        with pytest.raises(StartFailed, match="root/late did not start"):
            await root.start_child(child)
        assert [c.name for c in root.children] == ["a"]
        assert child.state is State.STOPPED
        await root.start_child(probe("late"))  # the name is free again
    assert "fails late" in take()


@pytest.mark.parametrize("patience_seconds", [-1, 0, 1])
async def test_a_cancelled_start_child_leaves_no_child(
    probe: MakeProbe, patience_seconds: float, autojump_clock: MockClock
) -> None:
    async with running(Supervisor("root")) as root:
        children = [probe(f"late {i}") for i in range(10)]
        for child in children:
            child.start_seconds = 4.0
            with trio.CancelScope() as scope:
                if patience_seconds < 0:
                    scope.cancel()  # whichever of the two tasks runs first
                scope.deadline = trio.current_time() + patience_seconds
                await root.start_child(child)
        await wait_all_tasks_blocked()
        assert root.children == ()
        assert {child.state for child in children} == {State.STOPPED}


async def test_names_are_unique_among_siblings(probe: MakeProbe) -> None:
    async with running(Supervisor("root", [probe("a")])) as root:
        with pytest.raises(NameTaken):
            await root.start_child(probe("a"))
        with pytest.raises(NameTaken):
            root.start_child_nowait(probe("a"))
    with pytest.raises(NameTaken):
        Supervisor("root", [probe("a"), probe("a")])


async def test_stop_child_is_graceful_and_final(probe: MakeProbe, take: Take) -> None:
    a, b = probe("a"), probe("b")
    async with running(Supervisor("root", [a, b])) as root:
        take()
        a.ref.tell("last message")
        with assert_checkpoints():
            await root.stop_child("a")
        assert take() == ["stopping a", "down a"]
        assert a.handled == ["last message"]
        assert root.children == (b,)
        with assert_checkpoints():
            await root.stop_child("a")


async def test_no_child_starts_in_a_supervisor_that_is_not_running(probe: MakeProbe) -> None:
    root = Supervisor("root")
    with pytest.raises(ActorStopped):
        root.start_child_nowait(probe("early"))
    async with running(root):
        pass
    with pytest.raises(ActorStopped):
        await root.start_child(probe("late"))


async def test_no_child_starts_in_a_supervisor_that_goes_down(probe: MakeProbe) -> None:
    """Its nursery is closed before it knows of it: between its last task and its next turn."""
    refused: list[str] = []

    class AtTheEndOfTasks(trio.abc.Instrument):
        def task_exited(self, task: trio.lowlevel.Task) -> None:
            try:
                if not task.name.startswith("after "):
                    root.start_child_nowait(probe(f"after {task.name}"))
            except Exception as error:  # noqa: BLE001  # Trio would take it for the instrument's own
                refused.append(type(error).__name__)

    async def crash() -> None:
        raise ValueError

    root = Supervisor("root", [probe("a")])
    async with running(Supervisor("top", [root])):
        trio.lowlevel.add_instrument(watching := AtTheEndOfTasks())
        root.nursery.start_soon(crash)
        await wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(watching)
        assert refused == ["ActorStopped"] * 3  # after `crash`, after "a", and after "root"


async def test_a_temporary_child_is_forgotten_when_it_ends(probe: MakeProbe) -> None:
    async with running(Supervisor("root")) as root:
        for i, how in enumerate(["crash", "stop"] * 10):
            child = probe(f"connection {i}", Restart.TEMPORARY)
            root.start_child_nowait(child).tell(how)
        await wait_all_tasks_blocked()
        assert root.children == ()
        assert root.statistics().restarts == 0


async def test_a_child_may_start_siblings(probe: MakeProbe) -> None:
    """As a listener does: its connections are its supervisor's children."""

    class Listener(Actor[str]):
        def __init__(self, supervisor: Supervisor) -> None:
            super().__init__()
            self.supervisor = supervisor

        async def handle(self, batch: list[str]) -> None:
            for name in batch:
                self.supervisor.start_child_nowait(probe(name, Restart.TEMPORARY))

    connections = Supervisor("connections")
    listener = Listener(connections)
    async with running(Supervisor("root", [connections, listener])):
        listener.ref.tell("one")
        listener.ref.tell("two")
        await wait_all_tasks_blocked()
        assert [child.name for child in connections.children] == ["one", "two"]
