"""`triodectl get`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from ....rpc.pb.rpc_pb2 import RangeRequest, RangeResponse
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, BAD_FEATURE, Failure
from ...common.flags import Flag, FlagValues
from ...common.goquote import quote
from ..context import Context
from ..key_range import KeyRange
from ..views.kv import RangeView

__all__ = ["COMMANDS", "is_serializable", "range_request"]

T = TypeVar("T")

_ORDERS: Final = {
    "": RangeRequest.NONE,
    "ASCEND": RangeRequest.ASCEND,
    "DESCEND": RangeRequest.DESCEND,
}
_TARGETS: Final = {
    "": RangeRequest.KEY,
    "CREATE": RangeRequest.CREATE,
    "KEY": RangeRequest.KEY,
    "MODIFY": RangeRequest.MOD,
    "VALUE": RangeRequest.VALUE,
    "VERSION": RangeRequest.VERSION,
}

FLAGS: Final = (
    Flag.text("consistency", "Linearizable(l) or Serializable(s)", default="l", choices=("l", "s")),
    Flag.text(
        "order",
        "Order of results; ASCEND or DESCEND (ASCEND by default)",
        choices=("ASCEND", "DESCEND"),
    ),
    Flag.text(
        "sort-by",
        "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION",
        choices=("CREATE", "KEY", "MODIFY", "VALUE", "VERSION"),
    ),
    Flag.number("limit", "Maximum number of results"),
    Flag.switch("prefix", "Get keys with matching prefix"),
    Flag.switch(
        "from-key", "Get keys that are greater than or equal to the given key using byte compare"
    ),
    Flag.number("rev", "Specify the kv revision"),
    Flag.switch("keys-only", "Get only the keys"),
    Flag.switch("count-only", "Get only the count"),
    Flag.switch("print-value-only", 'Only write values when using the "simple" output format'),
    Flag.number("min-create-rev", "Minimum create revision"),
    Flag.number("max-create-rev", "Maximum create revision"),
    Flag.number("min-mod-rev", "Minimum modification revision"),
    Flag.number("max-mod-rev", "Maximum modification revision"),
)


def get(ctx: Context) -> None:
    """Print keys and values."""
    request = range_request(ctx.flags, ctx.arguments)
    response = ctx.ask("KV/Range", request, RangeResponse)
    if ctx.flags.switch("count-only") and ctx.form != "fields":
        raise Failure("--count-only is only for `--write-out=fields`", BAD_ARGUMENTS)
    value_only = ctx.flags.switch("print-value-only")
    if value_only and ctx.form != "simple":
        raise Failure("print-value-only is only for `--write-out=simple`", BAD_ARGUMENTS)
    ctx.show(RangeView(response, value_only=value_only))


def range_request(flags: FlagValues, arguments: Sequence[str]) -> RangeRequest:
    """What `get` asks for; a line of `txn` may be one, too.

    Raises:
        Failure: the arguments do not go together.
    """
    if not arguments:
        raise Failure(
            "get command needs one argument as key and an optional argument as range_end",
            BAD_ARGUMENTS,
        )
    keys = KeyRange.of(flags)
    if flags.switch("keys-only") and flags.switch("count-only"):
        raise Failure(
            "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
            BAD_ARGUMENTS,
        )
    serializable = is_serializable(flags.text("consistency"))
    key, end = keys.select(arguments)
    order = _choice(flags, "order", _ORDERS, "bad sort order")
    target = _choice(flags, "sort-by", _TARGETS, "bad sort target")
    if target == RangeRequest.KEY and order == RangeRequest.ASCEND:
        order = RangeRequest.NONE  # it is the order anyway, and saves the server the sorting
    return RangeRequest(
        key=key,
        range_end=end,
        limit=flags.number("limit"),
        revision=max(flags.number("rev"), 0),
        sort_order=order,
        sort_target=target,
        serializable=serializable,
        keys_only=flags.switch("keys-only"),
        count_only=flags.switch("count-only"),
        **_revisions(flags, "mod", "Mod"),
        **_revisions(flags, "create", "Create"),
    )


def is_serializable(consistency: str) -> bool:
    """Whether "s" was asked for, not "l"; raises Failure for others."""
    if consistency not in {"l", "s"}:
        raise Failure(f"unknown consistency flag {quote(consistency)}", BAD_FEATURE)
    return consistency == "s"


def _choice(flags: FlagValues, name: str, choices: Mapping[str, T], wrong: str) -> T:
    text = flags.text(name)
    if text.upper() not in choices:
        raise Failure(f"{wrong} {text}", BAD_FEATURE)
    return choices[text.upper()]


def _revisions(flags: FlagValues, kind: str, shown: str) -> dict[str, int]:
    least = max(flags.number(f"min-{kind}-rev"), 0)
    most = max(flags.number(f"max-{kind}-rev"), 0)
    if 0 < most < least:
        raise Failure(
            f"getMin{shown}Rev(={least}) > getMax{shown}Rev(={most})",
            BAD_FEATURE,
        )
    return {f"min_{kind}_revision": least, f"max_{kind}_revision": most}


COMMANDS = (
    Command(
        "get",
        "get [options] <key> [range_end]",
        "Gets the key or a range of keys",
        run=get,
        flags=FLAGS,
        example="""\
  triodectl get greeting
  triodectl get --prefix config/ --keys-only
  triodectl get --from-key job/17 --limit 10 -w json
  triodectl get greeting --rev 42""",
    ),
)
