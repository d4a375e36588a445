"""Is there one order of all operations, each between its call and its return, that explains every answer?

The model is etcd's: a state with its revision, and every answer compared whole, revision included. Because all
keys share the revision, a history cannot be cut by key, as Porcupine does with registers; the
revision makes up for it (see `search`).
"""

from __future__ import annotations

import enum

import attrs

from .describe import describe_operation, describe_response, describe_state, text_of
from .evidence import Evidence, Log, collect
from .history import History
from .items import Item, Kind, Prepared, prepare
from .model import State, step
from .replay import Replay
from .search import Placed, Search, Stuck
from .timeline import timeline
from .violation import Violation

__all__ = ["STEPS_MAX", "Linearization", "Verdict", "check_linearizable"]

STEPS_MAX = 400_000
EXPLAINING_STEPS_MAX = 50_000
LINES_MAX = 16
PROMISE = "linearizable"


class Verdict(enum.Enum):
    """What is known of a history."""

    LINEARIZABLE = "linearizable"
    VIOLATED = "violated"
    UNDECIDED = "undecided"  # the search had no more steps


@attrs.frozen
class Linearization:
    """The outcome.

    Attributes:
        order: the order that was found.
        replay: all revisions up to the last that was proven, if an order was found.
        violations: why there is none.
        steps: how many times the model was asked.
        window: the operations around the one that cannot be placed, for a picture.
    """

    verdict: Verdict
    order: tuple[Placed, ...] = ()
    replay: Replay | None = None
    violations: tuple[Violation, ...] = ()
    steps: int = 0
    window: tuple[Item, ...] = ()


def check_linearizable(
    history: History,
    *,
    initial: State | None = None,
    log: Log | None = None,
    steps_max: int = STEPS_MAX,
) -> Linearization:
    """Judge the keys' part of a history.

    Args:
        history: what clients did and saw; serializable reads and keep-alives are left to others.
        initial: the state before the first operation; None: an empty store.
        log: all changes, as a member's store tells them at the end.
        steps_max: bound of the search; one is some microseconds.
    """
    initial = State() if initial is None else initial
    evidence = collect(history, log)
    if evidence.conflicts:
        return Linearization(Verdict.VIOLATED, violations=tuple(evidence.conflicts))
    prepared = prepare(history.operations, evidence, None)
    twice = _same_revision(prepared)
    if twice:
        return Linearization(Verdict.VIOLATED, violations=tuple(twice))
    search = Search(prepared, evidence, initial, steps_max)
    found = search.run()
    if found:
        replay = _replay(initial, search.order)
        return Linearization(Verdict.LINEARIZABLE, tuple(search.order), replay, steps=search.steps)
    if found is None:
        return Linearization(Verdict.UNDECIDED, steps=search.steps)
    return _explained(history, initial, search, evidence, steps_max)


def _replay(initial: State, order: list[Placed]) -> Replay:
    replay = Replay(initial.revision, initial.keys)
    for placed in order:
        if placed.changes:
            replay.append(placed.changes)
    return replay


def _same_revision(prepared: Prepared) -> list[Violation]:
    found = []
    for revision, items in prepared.owners.items():
        if len(items) > 1:
            who = "\n".join(f"  {describe_operation(item.operation)}" for item in items)
            found.append(Violation(PROMISE, f"{len(items)} writes made revision {revision}\n{who}"))
    return found


def _explained(
    history: History, initial: State, search: Search, evidence: Evidence, steps_max: int
) -> Linearization:
    """Find the shortest beginning of the history that has no order, and tell what it ends in."""
    stamps = sorted(op.returned for op in history.operations if op.returned is not None)
    low, high = 0, len(stamps) - 1
    found = search, evidence
    while low < high:
        middle = (low + high) // 2
        some = collect(history, until=stamps[middle])
        shorter = Search(
            prepare(history.operations, some, stamps[middle]), some, initial, steps_max
        )
        if some.conflicts or shorter.run() is not False:
            low = middle + 1
        else:
            high = middle
            found = shorter, some
    end = stamps[high] if stamps else 0
    # Without the evidence of single revisions a search goes on until the answer that cannot be.
    bare = Evidence(reached=found[1].reached)
    plain = Search(prepare(history.operations, bare, end), bare, initial, EXPLAINING_STEPS_MAX)
    if plain.run() is not True:
        found = plain, bare
    text, window = _explanation(*found, end=end)
    return Linearization(
        Verdict.VIOLATED,
        violations=(Violation(PROMISE, text),),
        steps=search.steps,
        window=window,
    )


def _explanation(search: Search, evidence: Evidence, end: int) -> tuple[str, tuple[Item, ...]]:
    stuck = search.stuck or Stuck(0, State(), (), (), 0)
    state = stuck.state
    waiting = [item for item in stuck.enabled if item.kind is not Kind.SEEN]
    waiting.sort(key=lambda item: item.returned or 0)
    seen = [item.revision for item in stuck.enabled if item.kind is Kind.SEEN]
    lines = [f"no order of the operations answered until {end} explains their answers"]
    lines.append(f"  furthest order: {stuck.count} operations; then {describe_state(state)}")
    lines += [
        f"  after {describe_operation(placed.item.operation)}"
        for placed in stuck.last
        if placed.item.kind is not Kind.SEEN
    ]
    lines.append("  and none of these can come next:")
    for item in waiting[:LINES_MAX]:
        lines.append(f"  - {describe_operation(item.operation)}")
        lines.append(f"    {_obstacle(item, state, evidence, search)}")
    if seen:
        lines.append(f"  - by then revision {min(seen)} had been shown, which nobody can have made")
    placed = [one.item for one in stuck.last if one.item.kind is not Kind.SEEN]
    window = (*placed, *waiting[:LINES_MAX])
    lines.append(timeline(item.operation for item in window))
    return "\n".join(lines), window


def _obstacle(item: Item, state: State, evidence: Evidence, search: Search) -> str:
    here = state.revision
    if item.revision and item.revision < here:
        return f"revision {item.revision} is past"
    if item.revision > here + (item.kind in (Kind.EFFECT, Kind.MAYBE)):
        return f"nobody can have made revision {here + 1}"
    try:
        made = step(state, item.request)
    except LookupError:
        return "the past was different"
    expected = f"{describe_response(made.response)} @{made.state.revision}"
    if made.response != item.response or item.revision not in (0, made.state.revision):
        return f"here it had to be answered: {expected}"
    waiting = search.waiting(here)
    if made.changes and waiting:
        return f"before revision {here + 1} must come: {describe_operation(waiting[0].operation)}"
    if made.changes and not evidence.agrees(here + 1, made.changes):
        shown = evidence.shown.get(here + 1, {})
        keys = ", ".join(text_of(key) for key in shown)
        return f"revision {here + 1} was shown to be something else ({keys})"
    return "it fits, but then others do not"
