from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from triode import actors
from triode.actors import DownReason, Restart, State, Strategy
from triode.actors.life import life_diagram

TEXT = (Path(__file__).parents[2] / "docs" / "actors.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def without_high_water_marks(text: str) -> str:
    """They depend on how Trio schedules."""
    return re.sub(r"high \d+", "high N", text)


def test_the_diagram_is_the_one_in_the_code() -> None:
    assert f"```mermaid\n{life_diagram()}\n```" in TEXT


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(
    number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio, "run", partial(trio.run, clock=MockClock(autojump_threshold=0)))
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLES[number], f"docs/actors.md, example {number}", "exec"), namespace)
    printed = capsys.readouterr().out
    assert without_high_water_marks(printed) in without_high_water_marks(TEXT)


@pytest.mark.parametrize("policy", [*Restart, *Strategy])
def test_every_policy_has_a_row(policy: Restart | Strategy) -> None:
    assert f"| `{policy.name}` |" in TEXT


def test_states_and_errors_are_mentioned() -> None:
    for state in State:
        assert state.value in TEXT
    assert {reason.name for reason in DownReason} == {"CRASHED", "ENDED", "STOPPED", "CANCELLED"}
    errors = [
        name
        for name in actors.__all__
        if isinstance(getattr(actors, name), type)
        and issubclass(getattr(actors, name), actors.ActorError)
    ]
    bases = {"ActorError", "TreeFailed"}
    missing = [name for name in errors if name not in bases and name not in TEXT]
    assert missing == []
