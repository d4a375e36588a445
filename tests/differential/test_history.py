"""The same random history through the real etcd and through Triode, on each backend."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.etcd


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("seed", "operations"),
    [
        (1, 1500),
        pytest.param(2, 20_000, marks=pytest.mark.long),
        pytest.param(3, 20_000, marks=pytest.mark.long),
    ],
)
def test_every_answer_and_event_is_etcds(
    differential: Any,
    launch_etcd: Callable[..., Any],
    launch_triode: Callable[..., Any],
    seed: int,
    operations: int,
) -> None:
    """Puts, deletes, txns, ranges, compactions, leases, hashes and watches, field by field."""
    reference = differential.Api(launch_etcd().address)
    ours = {
        backend: differential.Api(launch_triode(backend=backend).address)
        for backend in ("sqlite", "memory")
    }
    history = differential.History(seed)
    requests = history.requests(operations)
    for number, (path, request) in enumerate(requests):
        expected = _answer(differential, reference, path, request)
        history.saw(expected[2])
        for backend, api in ours.items():
            answer = _answer(differential, api, path, request)
            if answer != expected and not _both_refuse(path, answer, expected):
                pytest.fail(_difference(backend, number, path, request, answer, expected))
        if number % 500 == 499:
            _compare_watches(differential, reference, ours, history)


def _difference(backend: str, number: int, path: str, request: Any, *answers: Any) -> str:
    """What was asked, and where the answers part."""
    ours, expected = ([*map(str, answer[:2]), *str(answer[2]).splitlines()] for answer in answers)
    lines = difflib.unified_diff(expected, ours, "etcd", backend, n=12, lineterm="")
    return "\n".join([f"operation {number}: {path}", str(request), *lines])


def _both_refuse(path: str, *answers: Any) -> bool:
    """Of a txn with several faults, 3.5.1 and 3.6 name different ones; we follow 3.6."""
    return path.endswith("/Txn") and all(answer[0] != "OK" for answer in answers)


def _answer(differential: Any, api: Any, path: str, request: Any) -> tuple[str, str, Any]:
    code, text, response = api.call(path, request)
    return code, text, differential.in_order_of_ties(request, differential.normal(response))


def _compare_watches(differential: Any, reference: Any, ours: dict[str, Any], history: Any) -> None:
    watches = history.watches()
    expected = differential.events_by_watch(reference.watch(watches))
    assert len(expected) >= 2
    for backend, api in ours.items():
        told = differential.events_by_watch(api.watch(watches))
        assert told.keys() == expected.keys(), backend
        for watch_id in expected:
            _compare_lists(told[watch_id], expected[watch_id], f"{backend}: {watches[watch_id]}")


def _compare_lists(told: list[Any], expected: list[Any], what: str) -> None:
    for number, (ours, theirs) in enumerate(zip(told, expected, strict=False)):
        assert ours == theirs, f"{what}: number {number} of {len(expected)}"
    assert len(told) == len(expected), what
