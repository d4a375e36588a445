"""The pages beside gRPC, and everything that asks several endpoints, over TLS: against the real etcd."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def secure(launch_etcd_once: Callable[..., Any]) -> tuple[str, Path]:
    """An etcd with a certificate of its own making: its endpoint, and the certificate."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
    urls = ("--listen-client-urls", url, "--advertise-client-urls", url)
    server = launch_etcd_once("--auto-tls", *urls)
    return url, server.data_dir / "fixtures" / "client" / "cert.pem"


@pytest.mark.parametrize(
    "words",
    [
        ("endpoint", "health"),
        ("endpoint", "status", "--cluster"),
        ("endpoint", "hashkv"),
        ("member", "list"),
        ("defrag", "--cluster"),
        ("lock", "name", "true"),
        ("check", "perf", "--duration=200ms"),
        ("check", "datascale", "--pairs=20"),
        ("tree",),
    ],
    ids=" ".join,
)
def test_with_trust(
    secure: tuple[str, Path], here: Callable[..., Any], words: tuple[str, ...]
) -> None:
    url, certificate = secure
    done = here("--endpoints", url, f"--cacert={certificate}", *words)
    assert done.code == 0 or words[:2] == ("check", "perf"), done
    assert "FAIL: too many errors" not in done.out


@pytest.fixture
def without_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of one call go past the client, or fail."""

    def run(*_: object, **__: object) -> None:
        raise AssertionError("the client was asked")

    monkeypatch.setattr("trio.run", run)


@pytest.mark.usefixtures("without_trio")
def test_one_call(secure: tuple[str, Path], here: Callable[..., Any]) -> None:
    """The client is not needed for it."""
    url, certificate = secure
    common = ("--endpoints", url, f"--cacert={certificate}")
    assert here(*common, "put", "one", "x" * 100_000).out == "OK\n"
    assert here(*common, "get", "one", "--print-value-only").out == "x" * 100_000 + "\n"
    skipping = ("--endpoints", url, "--insecure-skip-tls-verify", "--insecure-transport=false")
    assert here(*skipping, "get", "none").code == 0
    known = here(*common, "--user", "root:pw", "get", "none")  # nobody has to log in
    assert (known.code, known.out, known.err) == (0, "", "")


def test_top(secure: tuple[str, Path], here: Callable[..., Any]) -> None:
    """Metrics come over TLS, too."""
    url, certificate = secure
    done = here("--endpoints", url, f"--cacert={certificate}", "top", "--once", "--interval=100ms")
    assert done.code == 0
    assert re.search(r"^per second +puts [\d.]+ ", done.out, re.MULTILINE)


def test_snapshot(secure: tuple[str, Path], here: Callable[..., Any], folder: Path) -> None:
    url, certificate = secure
    common = ("--endpoints", url, f"--cacert={certificate}")
    assert here(*common, "snapshot", "save", str(folder / "a.db")).code == 0


def test_without_trust(secure: tuple[str, Path], here: Callable[..., Any]) -> None:
    """The text says why, and nobody waits for what will not come."""
    url, _ = secure
    health = here("--endpoints", url, "endpoint", "health", "-w", "json")
    assert health.code == 1
    assert '"health":false' in health.out
    top = here("--endpoints", url, "top", "--once", "--interval=50ms")
    assert top.code == 1
    assert "not trusted" in top.out
    scale = here("--endpoints", url, "check", "datascale", "--pairs=1")
    assert scale.code == 1


def test_plain_where_tls_is_spoken(secure: tuple[str, Path], here: Callable[..., Any]) -> None:
    url, _ = secure
    plain = url.replace("https", "http")
    quick = ("--endpoints", plain, "--command-timeout=500ms", "--dial-timeout=100ms")
    done = here(*quick, "endpoint", "status")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith(f"Failed to get the status of endpoint {plain} (")
    assert here(*quick, "top", "--once", "--interval=50ms").code == 1


def test_a_mirror(
    secure: tuple[str, Path],
    shared_triode: Any,
    start: Callable[..., Any],
    here: Callable[..., Any],
) -> None:
    """`--dest-cacert` is for the other cluster alone."""
    url, certificate = secure
    shared_triode.ctl("put", "tls/k", "v")
    mirror = start("make-mirror", "--prefix=tls/", f"--dest-cacert={certificate}", url)
    common = ("--endpoints", url, f"--cacert={certificate}")
    for _ in range(100):
        if here(*common, "get", "tls/k").out == "tls/k\nv\n":
            break
    else:
        pytest.fail("it did not arrive")
    mirror.close()


@pytest.fixture
def server(shared_triode: Any) -> Any:
    return shared_triode
