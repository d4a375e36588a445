"""What several commands read off their command lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....errors import EtcdError
from ....rpc.pb.rpc_pb2 import MemberListRequest
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.gonumbers import parse_uint
from ..context import Context
from ..failures import error_text

if TYPE_CHECKING:
    from ....client.client import Client

__all__ = ["endpoints_of", "member_id", "nothing_else", "text_of"]


def member_id(text: str) -> int:
    """A member's ID, in hexadecimal. Raises Failure."""
    try:
        return parse_uint(text, 16)
    except ValueError as error:
        raise Failure(f"bad member ID arg ({error}), expecting ID in Hex", BAD_ARGUMENTS) from None


def nothing_else(ctx: Context, refusal: str) -> None:
    """Raises Failure with this text if there are arguments."""
    if ctx.arguments:
        raise Failure(refusal, BAD_ARGUMENTS)


def text_of(argument: str) -> str:
    """An argument that has to be text: names of users and roles are. Raises Failure."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise Failure("string field contains invalid UTF-8", BAD_ARGUMENTS) from None
    return argument


async def endpoints_of(ctx: Context, client: Client) -> tuple[str, ...]:
    """The endpoints of `--endpoints`, or with `--cluster` those that the members advertise.

    Raises:
        Failure: the members could not be asked.
    """
    if not ctx.flags.switch("cluster"):
        return client.channel.endpoints
    request = MemberListRequest(linearizable=True)
    try:
        answer = await ctx.call(client, "Cluster/MemberList", request)
    except (EtcdError, Failure) as error:
        reason = error_text(error) if isinstance(error, EtcdError) else error.text
        raise Failure(
            f"failed to fetch endpoints from etcd cluster member list: {reason}"
        ) from error
    return tuple(url for member in answer.members for url in member.clientURLs)
