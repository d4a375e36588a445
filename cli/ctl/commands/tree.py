"""`triodectl tree`: keys as a tree of branches."""

from __future__ import annotations

import sys
from typing import Any

from ....client.client import Client
from ....client.keys import prefix as keys_with_prefix
from ....rpc.pb.rpc_pb2 import RangeRequest
from ...common.colour import paint, wanted
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, BAD_FEATURE, Failure
from ...common.flags import Flag
from ...common.goquote import as_bytes
from ..context import Context
from ..tree.lines import Look, Piece, Style, lines_of, summary_of
from ..tree.node import Key, KeyTree, Node
from ..tree.walk import Pair, Walk

__all__ = ["COMMANDS"]

PAGE_KEYS = 2000
PAGE_KEYS_WITH_VALUES = 200  # values may be large
_COLOURS = {
    Style.FRAME: "dim",
    Style.BRANCH: "blue",
    Style.COUNT: "dim",
    Style.VALUE: "green",
}


async def tree(ctx: Context) -> None:
    """Read the keys, page by page and all of one revision, and draw them."""
    if len(ctx.arguments) > 1:
        raise Failure("tree command takes one prefix as optional argument", BAD_ARGUMENTS)
    ctx.settle()
    if ctx.form not in ("simple", "json"):
        raise Failure(f"{ctx.form} not supported as output format", BAD_FEATURE)
    flags = ctx.flags
    delimiter = as_bytes(flags.text("delimiter"))
    if not delimiter:
        raise Failure("the delimiter must not be empty", BAD_ARGUMENTS)
    start = ctx.argument_bytes(0) if ctx.arguments else b""
    grown = KeyTree(start, delimiter, flags.number("depth"))
    look = Look(values=flags.switch("values"), children_max=flags.number("limit"))
    async with ctx.client() as client:
        revision = await _grow(ctx, client, grown, start, values=look.values)
    if ctx.form == "json":
        ctx.out.line(_json(grown, look))
        return
    colours = wanted(sys.stdout) and not flags.switch("no-color")
    for pieces in lines_of(grown, look):
        ctx.out.line(_painted(pieces) if colours else "".join(text for _, text in pieces))
    ctx.out.line()
    ctx.out.line(summary_of(grown, revision))


async def _grow(ctx: Context, client: Client, grown: KeyTree, start: bytes, *, values: bool) -> int:
    """Read everything into the tree; returns the revision that was read."""
    keys = keys_with_prefix(start)
    walk = Walk(grown, keys.key, keys.range_end)
    revision = ctx.flags.number("rev")
    while read := walk.next():
        request = RangeRequest(
            key=read.start,
            range_end=read.end,
            revision=revision,
            limit=0 if read.count_only else PAGE_KEYS_WITH_VALUES if values else PAGE_KEYS,
            keys_only=not values,
            count_only=read.count_only,
        )
        found = await ctx.call(client, "KV/Range", request)
        revision = revision or found.header.revision
        if read.count_only:
            walk.counted(found.count)
        else:
            pairs = [Pair(kv.key, Key(kv.value, kv.mod_revision, kv.lease)) for kv in found.kvs]
            walk.page(pairs, more=found.more)
    return revision


def _painted(pieces: list[Piece]) -> bytes:
    return b"".join(
        paint(text, _COLOURS[style]) if style in _COLOURS else text.encode()
        for style, text in pieces
    )


def _json(grown: KeyTree, look: Look) -> str:
    from ..gojson import dumps

    try:
        return dumps(_value(grown.root, grown.base, look))
    except RecursionError:
        raise Failure("the tree is too deep for JSON: use --depth") from None


def _value(node: Node, name: bytes, look: Look) -> dict[str, Any]:
    """A node for JSON: names and values are base64, as in all JSON of this tool."""
    value: dict[str, Any] = {"name": name, "keys": node.keys}
    if node.key is not None:
        value["mod_revision"] = node.key.mod_revision
        if look.values:
            value["value"] = node.key.value
    names = sorted(node.children)
    shown = names[: look.children_max] if look.children_max else names
    if shown:
        value["children"] = [_value(node.children[each], each, look) for each in shown]
    return value


COMMANDS = (
    Command(
        "tree",
        "tree [prefix] [options]",
        "Shows keys as a tree",
        run=tree,
        flags=(
            Flag.number(
                "depth", "show so many levels and only count what is below (0: all)", short="L"
            ),
            Flag.switch("values", "show values too"),
            Flag.number("limit", "show so many entries of each branch (0: all)"),
            Flag.text("delimiter", "what separates the parts of a key", default="/"),
            Flag.number("rev", "show the keys as they were at this revision"),
            Flag.switch("no-color", "plain text on a terminal, too"),
        ),
        long=(
            "Cuts keys at each / and shows what they have in common once, with the number of keys below.\n"
            "All of it is of one revision. With --depth the server counts what would not be shown, so a glance at\n"
            "millions of keys takes a few requests."
        ),
        example=(
            "  triodectl tree --depth=2\n"
            "  triodectl tree jobs/ --values\n"
            "  triodectl tree --delimiter=: -w json"
        ),
    ),
)
