"""`triodectl endpoint`: what each endpoint says of itself."""

from __future__ import annotations

import trio

from ....client.client import Client
from ....errors import EtcdError, PermissionDenied
from ....rpc.pb.rpc_pb2 import (
    NONE,
    AlarmRequest,
    AlarmType,
    HashKVRequest,
    HashKVResponse,
    RangeRequest,
    StatusRequest,
    StatusResponse,
)
from ...common.command import Command
from ...common.errors import complain
from ...common.exits import ERROR, Failure
from ...common.flags import Flag
from ...common.gonumbers import duration_text
from ..context import Context
from ..failures import error_text
from ..views.endpoints import EndpointHealth, HashKVView, HealthView, StatusView
from ._arguments import endpoints_of

__all__ = ["CLUSTER", "COMMANDS"]

CLUSTER = Flag.switch("cluster", "use all endpoints from the cluster member list")


def reason_of(error: EtcdError | Failure) -> str:
    """What to say of a call that failed."""
    return error.text if isinstance(error, Failure) else error_text(error)


async def health(ctx: Context) -> None:
    """Commit something through each endpoint, all at once."""
    found: dict[int, EndpointHealth] = {}

    async def check(client: Client, number: int, endpoint: str) -> None:
        found[number] = await _health(ctx, client, endpoint)

    async with ctx.client() as client:
        endpoints = await endpoints_of(ctx, client)
        async with trio.open_nursery() as nursery:
            for number, endpoint in enumerate(endpoints):
                nursery.start_soon(check, client, number, endpoint)
    ctx.show(HealthView([found[number] for number in range(len(endpoints))]))
    if any(one.error for one in found.values()):
        raise Failure("unhealthy cluster")


async def _health(ctx: Context, client: Client, endpoint: str) -> EndpointHealth:
    start = trio.current_time()
    try:
        await ctx.call(client, "KV/Range", RangeRequest(key=b"health"), endpoint=endpoint)
    except PermissionDenied:
        pass  # it took a majority to find that out
    except (EtcdError, Failure) as error:
        took = duration_text(trio.current_time() - start)
        return EndpointHealth(endpoint, healthy=False, took=took, error=reason_of(error))
    took = duration_text(trio.current_time() - start)
    request = AlarmRequest(action=AlarmRequest.GET, alarm=NONE)
    try:
        answer = await ctx.call(client, "Maintenance/Alarm", request, endpoint=endpoint)
    except (EtcdError, Failure):
        text = "Unable to fetch the alarm list"
        return EndpointHealth(endpoint, healthy=False, took=took, error=text)
    if not answer.alarms:
        return EndpointHealth(endpoint, healthy=True, took=took)
    names = [
        AlarmType.Name(one.alarm) if one.alarm in AlarmType.values() else "UNKNOWN"
        for one in answer.alarms
    ]
    text = "Active Alarm(s): " + "".join(f"{name} " for name in names)
    return EndpointHealth(endpoint, healthy=False, took=took, error=text)


async def status(ctx: Context) -> int:
    """Ask each endpoint how it is."""
    answers: list[tuple[str, StatusResponse]] = []
    failed = False
    async with ctx.client() as client:
        for endpoint in await endpoints_of(ctx, client):
            try:
                answer = await ctx.call(
                    client, "Maintenance/Status", StatusRequest(), endpoint=endpoint
                )
            except (EtcdError, Failure) as error:
                failed = True
                text = f"Failed to get the status of endpoint {endpoint} ({reason_of(error)})"
                complain(text, prefix="")
            else:
                answers.append((endpoint, answer))
    ctx.show(StatusView(answers))
    return ERROR if failed else 0


async def hashkv(ctx: Context) -> None:
    """Ask each endpoint for the hash of its history."""
    answers: list[tuple[str, HashKVResponse]] = []
    last: str | None = None
    request = HashKVRequest(revision=ctx.flags.number("rev"))
    async with ctx.client() as client:
        for endpoint in await endpoints_of(ctx, client):
            try:
                answer = await ctx.call(client, "Maintenance/HashKV", request, endpoint=endpoint)
            except (EtcdError, Failure) as error:
                last = reason_of(error)
                text = f"Failed to get the hash of endpoint {endpoint} ({last})"
                complain(text, prefix="")
            else:
                answers.append((endpoint, answer))
    ctx.show(HashKVView(answers))
    if last is not None:
        raise Failure(last)


COMMANDS = (
    Command(
        "endpoint",
        "endpoint <subcommand>",
        "Endpoint related commands",
        flags=(CLUSTER,),
        example="  triodectl endpoint status --cluster -w table",
    ),
    Command(
        "endpoint health",
        "health",
        "Checks the healthiness of endpoints specified in `--endpoints` flag",
        run=health,
        flags=(CLUSTER,),
        example="  triodectl endpoint health --endpoints=10.0.0.1:2379,10.0.0.2:2379",
    ),
    Command(
        "endpoint status",
        "status",
        "Prints out the status of endpoints specified in `--endpoints` flag",
        run=status,
        flags=(CLUSTER,),
        long=(
            "When --write-out is set to simple, this command prints out comma-separated status lists for"
            " each endpoint.\nThe items in the lists are endpoint, ID, version, storage version, db size,"
            " in use, percentage not in use,\nquota, is leader, is learner, raft term, raft index, raft"
            " applied index, errors, downgrade target version,\ndowngrade enabled."
        ),
        example="  triodectl endpoint status --cluster -w table",
    ),
    Command(
        "endpoint hashkv",
        "hashkv",
        "Prints the KV history hash for each endpoint in --endpoints",
        run=hashkv,
        flags=(
            CLUSTER,
            Flag.number("rev", "maximum revision to hash (default: latest revision)"),
        ),
        example="  triodectl endpoint hashkv --cluster --rev=100",
    ),
)
