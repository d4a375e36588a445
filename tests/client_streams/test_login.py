"""Watches and leases with a token that stops being good: against the real etcd, which has users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

import triode
from triode.errors import PermissionDenied


async def test_a_stream_whose_token_was_dropped_logs_in_again(
    launch_etcd: Callable[..., Any],
) -> None:
    """Switching authentication off and on drops all tokens, while streams stay."""
    server = launch_etcd("--unsafe-no-fsync")
    server.ctl("user", "add", "root:secret", check=True)
    server.ctl("user", "grant-role", "root", "root", check=True)
    server.ctl("auth", "enable", check=True)
    login = ("--user", "root:secret")
    with trio.fail_after(30):
        async with (
            triode.connect(server.url, user="root", password="secret") as client,
            client.watch("a") as first,
            client.lease(2) as lease,
        ):
            server.ctl(*login, "auth", "disable", check=True)
            server.ctl("auth", "enable", check=True)
            async with client.watch("b") as second:
                for name, watch in (("a", first), ("b", second)):
                    await client.put(name, "1")
                    assert (await anext(watch)).value == b"1"
            async for _ in lease.renewals():
                break


async def test_what_may_not_be_watched(launch_etcd: Callable[..., Any]) -> None:
    """It is told at once, and does not end what may be watched on the same stream."""
    server = launch_etcd("--unsafe-no-fsync")
    for words in (
        ("user", "add", "root:secret"),
        ("user", "grant-role", "root", "root"),
        ("user", "add", "anna:secret"),
        ("role", "add", "reader"),
        ("role", "grant-permission", "reader", "readwrite", "a"),
        ("user", "grant-role", "anna", "reader"),
        ("auth", "enable"),
    ):
        server.ctl(*words, check=True)
    with trio.fail_after(30):
        async with (
            triode.connect(server.url, user="anna", password="secret") as client,
            client.watch("a") as allowed,
        ):
            try:
                async with client.watch("b"):
                    raise AssertionError
            except PermissionDenied:
                pass
            await client.put("a", "1")
            assert (await anext(allowed)).value == b"1"
