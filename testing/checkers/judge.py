"""All checkers over one run."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .acknowledged import check_acknowledged
from .evidence import Log, collect
from .hashes import HashSample, check_rest
from .history import History
from .lease import LATENESS_SECONDS_MAX, Peace, check_leases_early, check_leases_late
from .linearizability import STEPS_MAX, Linearization, Verdict, check_linearizable
from .model import State
from .queues import QueueSample, check_queues
from .replay import Replay
from .serializable import check_serializable
from .violation import Violation
from .watch import check_watches

__all__ = ["Judgement", "judge"]


@attrs.frozen
class Judgement:
    """What was found. `decided` is False if the search for an order had to be given up."""

    violations: list[Violation]
    linearization: Linearization
    decided: bool

    def __str__(self) -> str:
        return "\n".join(map(str, self.violations)) or "all promises were kept"


def judge(
    history: History,
    *,
    initial: State | None = None,
    log: Log | None = None,
    hashes: Iterable[HashSample] = (),
    queues: Iterable[QueueSample] = (),
    peace: Iterable[Peace] = (),
    clock_rates: tuple[float, float] = (1.0, 1.0),
    lateness_seconds_max: float = LATENESS_SECONDS_MAX,
    steps_max: int = STEPS_MAX,
) -> Judgement:
    """Check everything.

    Args:
        history: what clients did and saw.
        initial: the state before the first operation; None: an empty store.
        log: all changes, as a member's store tells them at the end.
        hashes: HashKV of each member at rest, at the end.
        queues: looks at queues, at any time.
        peace: when a leader was in office.
        clock_rates: how fast the slowest and the fastest clock of a leader may run; leases are judged exactly by that.
        lateness_seconds_max: how long after its TTL a lease may live on while there is a leader.
        steps_max: bound of the search for an order.
    """
    slowest, fastest = clock_rates
    found = check_watches(history.watches) + check_rest(hashes) + check_queues(queues)
    if log is not None:
        found += check_acknowledged(history.operations, log)
    linear = check_linearizable(history, initial=initial, log=log, steps_max=steps_max)
    found += linear.violations
    replay = linear.replay
    first = initial.revision if initial else 1
    if replay is None and log is not None and log.first == first and not found:
        replay = Replay.of_log(log, initial.keys if initial else None)
    if replay is not None:
        alone = set(found)
        watched = check_watches(history.watches, replay, history.operations)
        found += [one for one in watched if one not in alone]
        found += check_serializable(history.operations, replay)
    if linear.order:
        evidence = collect(history, log)
        found += check_leases_early(history, linear.order, evidence, fastest_clock=fastest)
    found += check_leases_late(
        history, peace, slowest_clock=slowest, lateness_seconds_max=lateness_seconds_max
    )
    return Judgement(found, linear, linear.verdict is not Verdict.UNDECIDED)
