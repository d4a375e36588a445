"""`triodectl member`: who belongs to the cluster."""

from __future__ import annotations

from urllib.parse import urlsplit

from ....rpc.pb.rpc_pb2 import (
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, BAD_FEATURE, Failure
from ...common.flags import Flag
from ...common.goquote import quote
from ..context import Context
from ..views.members import MemberAddView, MemberChangeView, MemberListView
from ._arguments import member_id

__all__ = ["COMMANDS"]


def add(ctx: Context) -> None:
    """Announce a member; it can be started then."""
    if not ctx.arguments:
        raise Failure("member name not provided", BAD_ARGUMENTS)
    if len(ctx.arguments) > 1:
        urls = [one for one in ctx.arguments if one.lower().startswith("http")]
        hints = "".join(f", did you mean --peer-urls={url}" for url in urls)
        raise Failure("too many arguments" + hints, BAD_ARGUMENTS)
    text = ctx.flags.text("peer-urls")
    request = MemberAddRequest(peerURLs=_peer_urls(text), isLearner=ctx.flags.switch("learner"))
    answer = ctx.ask("Cluster/MemberAdd", request, MemberAddResponse)
    ctx.show(MemberAddView(answer, ctx.arguments[0], text))


def remove(ctx: Context) -> None:
    """Take a member out."""
    number = _the_member(ctx)
    answer = ctx.ask("Cluster/MemberRemove", MemberRemoveRequest(ID=number), MemberRemoveResponse)
    ctx.show(MemberChangeView(answer, number, "removed from"))


def update(ctx: Context) -> None:
    """Give a member other peer URLs."""
    number = _the_member(ctx)
    request = MemberUpdateRequest(ID=number, peerURLs=_peer_urls(ctx.flags.text("peer-urls")))
    answer = ctx.ask("Cluster/MemberUpdate", request, MemberUpdateResponse)
    ctx.show(MemberChangeView(answer, number, "updated in"))


def promote(ctx: Context) -> None:
    """Give a learner a vote."""
    number = _the_member(ctx)
    answer = ctx.ask(
        "Cluster/MemberPromote", MemberPromoteRequest(ID=number), MemberPromoteResponse
    )
    ctx.show(MemberChangeView(answer, number, "promoted in"))


def show(ctx: Context) -> None:
    """List the members."""
    consistency = ctx.flags.text("consistency")
    if consistency not in ("l", "s"):
        raise Failure(f"unknown consistency flag {quote(consistency)}", BAD_FEATURE)
    request = MemberListRequest(linearizable=consistency == "l")
    answer = ctx.ask("Cluster/MemberList", request, MemberListResponse)
    ctx.show(MemberListView(answer))


def _the_member(ctx: Context) -> int:
    if len(ctx.arguments) != 1:
        raise Failure("member ID is not provided", BAD_ARGUMENTS)
    return member_id(ctx.arguments[0])


def _peer_urls(text: str) -> list[str]:
    """Split and check them, as Go's client does before it asks. Raises Failure."""
    if not text:
        raise Failure("member peer urls not provided", BAD_ARGUMENTS)
    urls = text.split(",")
    for url in urls:
        wrong = _wrong_with(url.strip())
        if wrong:
            raise Failure(f"{wrong}: {url.strip()}")
    return urls


def _wrong_with(url: str) -> str:
    """What is wrong with a peer URL; "" if nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "URL cannot be parsed"
    if parts.scheme in ("unix", "unixs"):
        return ""
    if parts.scheme not in ("http", "https"):
        return "URL scheme must be http, https, unix, or unixs"
    if port is None:
        return 'URL address does not have the form "host:port"'
    return "URL must not contain a path" if parts.path else ""


_PEER_URLS = "comma separated peer URLs for the {} member."

COMMANDS = (
    Command(
        "member",
        "member <subcommand>",
        "Membership related commands",
        example=(
            "  triodectl member list -w table\n"
            "  triodectl member add m4 --learner --peer-urls=http://10.0.0.4:2380\n"
            "  triodectl member promote 8211f1d0f64f3269"
        ),
    ),
    Command(
        "member add",
        "add <memberName> [options]",
        "Adds a member into the cluster",
        run=add,
        flags=(
            Flag.text("peer-urls", _PEER_URLS.format("new")),
            Flag.switch("learner", "indicates if the new member is raft learner"),
        ),
        example=(
            "  # Announce a member, then start it with the settings that are printed\n"
            "  triodectl member add m4 --peer-urls=http://10.0.0.4:2380"
        ),
    ),
    Command(
        "member remove",
        "remove <memberID>",
        "Removes a member from the cluster",
        run=remove,
        example="  triodectl member remove 8211f1d0f64f3269",
    ),
    Command(
        "member update",
        "update <memberID> [options]",
        "Updates a member in the cluster",
        run=update,
        flags=(Flag.text("peer-urls", _PEER_URLS.format("updated")),),
        example="  triodectl member update 8211f1d0f64f3269 --peer-urls=http://10.0.0.4:2380",
    ),
    Command(
        "member list",
        "list",
        "Lists all members in the cluster",
        run=show,
        flags=(Flag.text("consistency", "Linearizable(l) or Serializable(s)", default="l"),),
        long=(
            "When --write-out is set to simple, this command prints out comma-separated member lists for"
            " each endpoint.\nThe items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is"
            " Learner."
        ),
        example="  triodectl member list -w table",
    ),
    Command(
        "member promote",
        "promote <memberID>",
        "Promotes a non-voting member in the cluster",
        run=promote,
        long="Promotes a non-voting learner member to a voting one in the cluster.",
        example="  triodectl member promote 8211f1d0f64f3269",
    ),
)
