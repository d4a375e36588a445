"""Random histories of one engine: a `hypothesis` state machine that conformance runs.

A `Backend` over a mirror of (the engine, the model) is driven at random. The mirror compares the two
engines at every read; here the buffered view is compared with a plain dict of dicts. Importing this
module needs `hypothesis`, which comes with the extra `triode[test]`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from .buffer import Backend
from .contract import Engine, View
from .mirror import Buckets, MirrorEngine, ModelEngine

__all__ = ["run_histories"]

VIEWS_MAX = 3

bucket_names = st.sampled_from(["key", "meta", "authUsers"])
# Few distinct keys, so that they meet; bytes at both ends of the order.
some_keys = st.lists(st.sampled_from(b"\x00\x01a\x7f\x80\xff"), min_size=1, max_size=3).map(bytes)
values = st.one_of(st.just(b""), st.binary(max_size=8), st.just(bytes(70_000)))
bounds = st.one_of(st.just(b""), some_keys)


class Histories(RuleBasedStateMachine):
    """Subclassed by `run_histories`, which says how to open the engine."""

    reopen: Callable[[], Engine]

    def __init__(self) -> None:
        super().__init__()
        self.engine = self.reopen()
        self.model = ModelEngine()
        self.backend = Backend(MirrorEngine(self.engine, self.model), batch_limit=20)
        self.data: Buckets = {}
        self.views: list[tuple[View, Buckets]] = []

    @rule(bucket=bucket_names, key=some_keys, value=values)
    def put(self, bucket: str, key: bytes, value: bytes) -> None:
        self.backend.put(bucket, key, value)
        self.data.setdefault(bucket, {})[key] = value

    @rule(bucket=bucket_names, first=st.integers(0, 1 << 40), count=st.integers(1, 40))
    def append(self, bucket: str, first: int, count: int) -> None:
        for n in range(first, first + count):
            self.put(bucket, b"\x00" + n.to_bytes(8, "big"), b"%d" % n)

    @rule(bucket=bucket_names, key=some_keys)
    def delete(self, bucket: str, key: bytes) -> None:
        self.backend.delete(bucket, key)
        self.data.setdefault(bucket, {}).pop(key, None)

    @rule(bucket=bucket_names, start=bounds, end=st.none() | bounds)
    def delete_range(self, bucket: str, start: bytes, end: bytes | None) -> None:
        for key, _ in self.backend.range(bucket, start, end):
            self.delete(bucket, key)

    @rule(bucket=bucket_names)
    def create_bucket(self, bucket: str) -> None:
        self.backend.create_bucket(bucket)
        self.data.setdefault(bucket, {})

    @rule(bucket=bucket_names)
    def drop_bucket(self, bucket: str) -> None:
        self.backend.drop_bucket(bucket)
        self.data.pop(bucket, None)

    @rule()
    def commit(self) -> None:
        self.backend.commit()
        assert self.backend.pending_ops == 0

    @rule()
    def sync(self) -> None:
        self.backend.sync()

    @rule()
    def defragment(self) -> None:
        self.backend.defragment()

    @precondition(lambda self: len(self.views) < VIEWS_MAX)
    @rule()
    def snapshot(self) -> None:
        frozen = {bucket: rows.copy() for bucket, rows in self.data.items()}
        self.views.append((self.backend.snapshot(), frozen))

    @precondition(lambda self: self.views)
    @rule()
    def read_and_close_view(self) -> None:
        view, data = self.views.pop(0)
        with view:
            assert view.buckets() == sorted(data)
            for bucket, rows in data.items():
                assert list(view.scan(bucket)) == sorted(rows.items())
                assert view.get_many(bucket, list(rows)) == list(rows.values())

    @precondition(lambda self: self.engine.durable)
    @rule()
    def close_and_reopen(self) -> None:
        while self.views:
            self.read_and_close_view()
        self.backend.close()
        self.engine = self.reopen()
        self.backend = Backend(MirrorEngine(self.engine, self.model))

    @rule(bucket=bucket_names, start=bounds, end=st.none() | bounds, limit=st.integers(0, 4))
    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int) -> None:
        rows = sorted(self.data.get(bucket, {}).items())
        rows = [row for row in rows if row[0] >= start and (end is None or row[0] < end)]
        assert self.backend.range(bucket, start, end, limit) == (rows[:limit] if limit else rows)

    @rule(bucket=bucket_names, keys=st.lists(some_keys, max_size=100))
    def get(self, bucket: str, keys: list[bytes]) -> None:
        found = self.data.get(bucket, {})
        assert self.backend.get_many(bucket, keys) == [found.get(key) for key in keys]
        for key in keys[:3]:
            assert self.backend.get(bucket, key) == found.get(key)

    @invariant()
    def same_buckets(self) -> None:
        assert self.backend.buckets() == sorted(self.data)
        assert self.engine.size_in_use() <= self.engine.size()

    def teardown(self) -> None:
        for view, _ in self.views:
            view.close()
        self.backend.close()


def run_histories(open_engine: Callable[[Path], Engine], folder: Path, histories_max: int) -> None:
    """Drive engines through `histories_max` random histories, each engine in a path of its own."""
    count = 0

    class Run(Histories):
        def __init__(self) -> None:
            nonlocal count
            count += 1
            path = folder / f"history-{count}"
            self.reopen = lambda: open_engine(path)
            super().__init__()

    run_state_machine_as_test(
        Run,
        settings=settings(
            max_examples=histories_max,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
