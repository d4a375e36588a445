"""A pytest plugin: the fixture `triode_cluster`, for tests that run by pytest-trio.

It is found by itself wherever Triode is installed. It imports next to nothing until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import Cluster

try:
    from pytest_trio import trio_fixture
except ImportError:  # then nobody can ask for it
    trio_fixture = None

__all__ = ["pytest_collection_modifyitems", "pytest_configure", "triode_cluster"]


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line(
        "markers",
        "triode_cluster(members=3, **settings): of what kind the fixture `triode_cluster` is;"
        " the arguments are those of triode.testing.cluster",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that use the fixture in virtual time, and alike each time."""
    for item in items:
        if "triode_cluster" in getattr(item, "fixturenames", ()):
            marker = item.get_closest_marker("triode_cluster")
            seed = 0 if marker is None else marker.kwargs.get("seed", 0)
            item.add_marker(pytest.mark.trio(run=partial(_run, seed=seed)))


def _run(
    main: Callable[[], Awaitable[Any]], *, seed: int, clock: Any = None, **options: Any
) -> Any:
    """In the place of `trio.run`; a clock that the test brings is used as it is."""
    from .testing import run

    if clock is not None:
        import trio

        return trio.run(main, clock=clock, **options)
    return run(main, seed=seed)


if trio_fixture is not None:

    @trio_fixture  # type: ignore[untyped-decorator]
    async def triode_cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
        """A cluster of three members in virtual time; the marker `triode_cluster` asks for another one."""
        from .testing import cluster

        marker = request.node.get_closest_marker("triode_cluster")
        arguments = () if marker is None else marker.args
        settings = {} if marker is None else marker.kwargs
        async with cluster(*arguments, **settings) as made:
            yield made
