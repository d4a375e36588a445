"""Whether two lists of URLs mean the same places: the same texts, or host names of the same addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import SplitResult, urlsplit

import trio

__all__ = ["Resolve", "is_address", "no_name_is_resolved", "resolve_host", "same_urls"]

RESOLVE_SECONDS_MAX = 30.0
RETRY_SECONDS = 1.0

Resolve = Callable[[str], Awaitable[frozenset[str]]]
"""The addresses of a host name; none if it has none."""


async def no_name_is_resolved(host: str) -> frozenset[str]:
    """For worlds without DNS."""
    del host
    await trio.lowlevel.checkpoint()
    return frozenset()


async def resolve_host(host: str) -> frozenset[str]:
    """Ask the system; a name that has no address yet may get one, so it is asked for half a minute."""
    with trio.move_on_after(RESOLVE_SECONDS_MAX):
        while True:
            try:
                found = await trio.socket.getaddrinfo(host, None)
                return frozenset(str(address[0]) for *_, address in found)
            except OSError:
                await trio.sleep(RETRY_SECONDS)
    return frozenset()


async def same_urls(some: Sequence[str], others: Sequence[str], resolve: Resolve) -> bool:
    """Whether each URL of one list is one of the other; names are resolved only if the texts differ."""
    if len(some) != len(others):
        return False
    rest = [urlsplit(url) for url in others]
    open_: list[SplitResult] = []
    for parts in map(urlsplit, some):
        twin = next((other for other in rest if _plain(other) == _plain(parts)), None)
        if twin is None:
            open_.append(parts)
        else:
            rest.remove(twin)
    for parts in open_:
        for other in rest:
            if await _same_place(parts, other, resolve):
                rest.remove(other)
                break
        else:
            return False
    return True


def _plain(parts: SplitResult) -> tuple[str, str, str, str]:
    return parts.scheme, _host(parts), _port(parts), parts.path


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").lower()


def _port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2].rpartition(":")[2]


async def _same_place(one: SplitResult, other: SplitResult, resolve: Resolve) -> bool:
    if (one.scheme, _port(one), one.path) != (other.scheme, _port(other), other.path):
        return False
    if one.scheme in ("unix", "unixs") or "localhost" in (_host(one), _host(other)):
        return False  # etcd leaves localhost as it is
    if is_address(_host(one)) and is_address(_host(other)):
        return False
    return bool(await _addresses(one, resolve) & await _addresses(other, resolve))


async def _addresses(parts: SplitResult, resolve: Resolve) -> frozenset[str]:
    host = _host(parts)
    return frozenset((host,)) if is_address(host) else await resolve(host)


def is_address(host: str) -> bool:
    """Whether `host` is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
