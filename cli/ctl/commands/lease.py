"""`triodectl lease ...`."""

from __future__ import annotations

from ....errors import EtcdError
from ....rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, BAD_CONNECTION, Failure
from ...common.flags import Flag
from ...common.gonumbers import parse_int
from ..context import Context
from ..failures import DEADLINE_TEXT, error_text
from ..views.lease import GrantView, KeepAliveView, LeasesView, RevokeView, TimeToLiveView

__all__ = ["COMMANDS", "lease_id"]


def lease_id(text: str) -> int:
    """A lease's ID as it is written on a command line. Raises Failure."""
    try:
        return parse_int(text, 16)
    except ValueError as error:
        raise Failure(f"bad lease ID arg ({error}), expecting ID in Hex", BAD_ARGUMENTS) from None


def _only_argument(ctx: Context, missing: str) -> str:
    if len(ctx.arguments) != 1:
        raise Failure(missing, BAD_ARGUMENTS)
    return ctx.arguments[0]


def grant(ctx: Context) -> None:
    """Create a lease."""
    text = _only_argument(ctx, "lease grant command needs TTL argument")
    try:
        ttl = parse_int(text)
    except ValueError as error:
        raise Failure(f"bad TTL ({error})", BAD_ARGUMENTS) from None
    try:
        response = ctx.ask("Lease/LeaseGrant", LeaseGrantRequest(TTL=ttl), LeaseGrantResponse)
    except (EtcdError, Failure) as error:
        raise _within("failed to grant lease", error) from None
    ctx.show(GrantView(response))


def revoke(ctx: Context) -> None:
    """End a lease, and delete its keys."""
    lease = lease_id(_only_argument(ctx, "lease revoke command needs 1 argument"))
    try:
        response = ctx.ask("Lease/LeaseRevoke", LeaseRevokeRequest(ID=lease), LeaseRevokeResponse)
    except (EtcdError, Failure) as error:
        raise _within("failed to revoke lease", error) from None
    ctx.show(RevokeView(response, lease))


def time_to_live(ctx: Context) -> None:
    """Say how long a lease still lives."""
    text = _only_argument(ctx, "lease timetolive command needs lease ID as argument")
    keys = ctx.flags.switch("keys")
    ctx.settle()
    request = LeaseTimeToLiveRequest(ID=lease_id(text), keys=keys)
    try:
        response = ctx.ask("Lease/LeaseTimeToLive", request, LeaseTimeToLiveResponse)
    except EtcdError as error:
        raise Failure(error_text(error), BAD_CONNECTION) from None
    ctx.show(TimeToLiveView(response, keys=keys))


def leases(ctx: Context) -> None:
    """List all leases."""
    request = LeaseLeasesRequest()
    try:
        response = ctx.ask("Lease/LeaseLeases", request, LeaseLeasesResponse)
    except EtcdError as error:
        raise Failure(error_text(error), BAD_CONNECTION) from None
    ctx.show(LeasesView(response))


async def keep_alive(ctx: Context) -> None:
    """Renew a lease, again and again until it is gone; or `--once`."""
    from ..renewing import renew

    lease = lease_id(_only_argument(ctx, "lease keep-alive command needs lease ID as argument"))
    once = ctx.flags.switch("once")
    async with ctx.client() as client:

        def show(response: LeaseKeepAliveResponse) -> None:
            ctx.show(KeepAliveView(response))

        try:
            alive = await renew(client, LeaseKeepAliveRequest(ID=lease), show, once=once)
        except EtcdError as error:
            raise Failure(error_text(error), BAD_CONNECTION) from None
    if alive:
        return
    if once:
        raise Failure("etcdserver: requested lease not found", BAD_CONNECTION)
    if ctx.form == "simple":
        ctx.out.line(f"lease {lease:016x} expired or revoked.")


def _within(what: str, error: EtcdError | Failure) -> Failure:
    """An error of a call in the words of the command; other failures as they are."""
    if isinstance(error, Failure):
        return Failure(f"{what} ({error.text})") if error.text == DEADLINE_TEXT else error
    return Failure(f"{what} ({error_text(error)})")


COMMANDS = (
    Command("lease", "lease <subcommand>", "Lease related commands"),
    Command(
        "lease grant",
        "grant <ttl>",
        "Creates leases",
        run=grant,
        example="  triodectl lease grant 60",
    ),
    Command(
        "lease revoke",
        "revoke <leaseID>",
        "Revokes leases",
        run=revoke,
        example="  triodectl lease revoke 694d5765fc71500b",
    ),
    Command(
        "lease timetolive",
        "timetolive <leaseID> [options]",
        "Get lease information",
        run=time_to_live,
        flags=(Flag.switch("keys", "Get keys attached to this lease"),),
        example="  triodectl lease timetolive 694d5765fc71500b --keys",
    ),
    Command(
        "lease list",
        "list",
        "List all active leases",
        run=leases,
        example="  triodectl lease list -w json",
    ),
    Command(
        "lease keep-alive",
        "keep-alive [options] <leaseID>",
        "Keeps leases alive (renew)",
        run=keep_alive,
        flags=(
            Flag.switch(
                "once", "Resets the keep-alive time to its original value and exits immediately"
            ),
        ),
        example="  triodectl lease keep-alive 694d5765fc71500b\n"
        "  triodectl lease keep-alive --once 694d5765fc71500b",
    ),
)
