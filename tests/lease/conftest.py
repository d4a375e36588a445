from __future__ import annotations

from collections.abc import Callable

import pytest

from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.mvcc.lease import Lessor


@pytest.fixture
def backend() -> Backend:
    return Backend(MemoryEngine.open(None, EngineOptions()))


@pytest.fixture
def lessor(backend: Backend) -> Lessor:
    """A follower's."""
    return Lessor(backend, ttl_seconds_min=2)


@pytest.fixture
def primary(lessor: Lessor) -> Lessor:
    """The leader's, promoted at time 0 without an extension."""
    lessor.promote(0.0, 0.0)
    return lessor


@pytest.fixture
def new_primary() -> Callable[..., Lessor]:
    """A primary with options of its own, promoted at time 0."""

    def build(**options: float) -> Lessor:
        lessor = Lessor(
            Backend(MemoryEngine.open(None, EngineOptions())),
            **options,  # type: ignore[arg-type]
        )
        lessor.promote(0.0, 0.0)
        return lessor

    return build
