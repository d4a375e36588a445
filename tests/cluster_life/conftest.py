from __future__ import annotations

import pytest

from triode.actors.membership import Membership
from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine


@pytest.fixture
def backend() -> Backend:
    return Backend(MemoryEngine.open(None, EngineOptions()))


@pytest.fixture
def membership(backend: Backend) -> Membership:
    return Membership(backend, 0xC)
