"""A member with its page, and a real browser that looks at it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Config, Node, open_node

_HERE = Path(__file__).parent
NAME = "oak <i>&"


def _load(name: str, path: Path) -> ModuleType:
    full = f"_ui_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def web() -> ModuleType:
    """HTTP clients."""
    return _load("http", _HERE / "_http.py")


@pytest.fixture(scope="session")
def daemons() -> ModuleType:
    """Clusters of processes, as the tests of clusters have them."""
    return _load("daemons", _HERE.parent / "cluster" / "_daemons.py")


# --- a node in this process -----------------------------------------------------------------------


@pytest.fixture
def run_node() -> Callable[..., AbstractAsyncContextManager[Node]]:
    """`async with run_node(ui="off") as node`: in memory, on a port of its own."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Node]:
        listen = {"backend": "memory", "listen_client_urls": ("http://127.0.0.1:0",)}
        async with open_node(Config(**{**listen, **settings})) as node:
            yield node

    return run


@pytest.fixture(params=["http1", "http2"])
def ask(request: pytest.FixtureRequest, web: ModuleType) -> Callable[..., Any]:
    """`await ask(node, "GET", "/ui")`, over both versions of HTTP."""
    send = getattr(web, request.param)

    async def one(
        node: Node, verb: str, path: str, body: bytes = b"", *, port: int = 0, **headers: str
    ) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        where = port or node.clients.ports[0]
        return await trio.to_thread.run_sync(lambda: send(where, verb, path, body, named))

    return one


# --- the browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A process that all tests share; skips where there is none."""
    module = _load("browser", _HERE / "_browser.py")
    path = module.find_browser()
    if path is None:
        pytest.skip("no browser here: `make browser` installs Debian's chromium")
    opened = module.Browser(path, tmp_path_factory.mktemp("browser"))
    try:
        opened.send("Browser.getVersion")
        yield opened
    finally:
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """`open_page(port, "#keys", width=390, height=844, dark=True)`: a new page that has found its member.

    At the end: nothing went wrong in it, and it asked nobody else. A test that expects errors empties
    `page.errors`.
    """
    opened: list[tuple[Any, str]] = []

    def open_one(port: int, place: str = "", host: str = "127.0.0.1", **options: Any) -> Any:
        page = browser.page(**options)
        origin = f"http://{host}:{port}"
        opened.append((page, origin))
        page.open(f"{origin}/ui{place}")
        page.wait("document.querySelector('#link').dataset.state === 'live'")
        return page

    yield open_one
    for page, origin in opened:
        page.close()
        assert page.errors == []
        foreign = [url for url in page.requests if not url.startswith((origin + "/ui", "data:"))]
        assert foreign == []
        assert page.requests


@pytest.fixture(scope="module")
def server(launch_triode_once: Callable[..., Any]) -> Any:
    """A daemon with a page that may change things, for all tests of a module."""
    return launch_triode_once("--ui", "read-write", "--name", NAME, backend="memory")


@pytest.fixture
def api(server: Any, web: ModuleType) -> Any:
    """Its gateway."""
    return web.Api(server.port)
