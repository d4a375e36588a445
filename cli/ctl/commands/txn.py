"""`triodectl txn`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, TypeVar

from ....rpc.pb.rpc_pb2 import RequestOp, TxnRequest, TxnResponse
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, INVALID_INPUT, Failure
from ...common.flags import Flag, FlagError, FlagValues, parse
from ...common.goquote import as_text
from ..argify import argify
from ..compares import parse_compare
from ..context import Context
from ..views.kv import TxnView
from . import delete, get, put

__all__ = ["COMMANDS", "parse_request"]

T = TypeVar("T")
_COMMANDS: Final = ("del", "get", "put")


def txn(ctx: Context) -> None:
    """Read a transaction from stdin and commit it."""
    if ctx.arguments:
        raise Failure("txn command does not accept argument", BAD_ARGUMENTS)
    ctx.settle()

    def prompt(text: str) -> None:
        if ctx.flags.switch("interactive"):
            ctx.out.line(text)
            ctx.out.flush()

    prompt("compares:")
    compares = _read(parse_compare)
    prompt("success requests (get, put, del):")
    success = _read(parse_request)
    prompt("failure requests (get, put, del):")
    failure = _read(parse_request)
    request = TxnRequest(compare=compares, success=success, failure=failure)
    response = ctx.ask("KV/Txn", request, TxnResponse, forever=True)
    ctx.show(TxnView(response))


def _read(parse_line: Callable[[str], T]) -> list[T]:
    """What the lines up to an empty one say. Raises Failure."""
    out: list[T] = []
    while True:
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):
            raise Failure("EOF", INVALID_INPUT)
        text = as_text(line).strip()
        if not text:
            return out
        out.append(parse_line(text))


def parse_request(line: str) -> RequestOp:
    """Understand one request of a transaction: a command line of get, put or del.

    Raises:
        Failure: it is none (exit code 3), or its arguments do not go together (as the command itself says).
    """
    words = argify(line)
    if len(words) < 2:
        raise Failure(f"invalid txn compare request: {line}", INVALID_INPUT)
    found = [name for name in _COMMANDS if name.startswith(words[0])]
    if len(found) != 1 or not words[0]:
        raise Failure(f"invalid txn request: {line}", INVALID_INPUT)
    name = found[0]
    try:
        if name == "put":
            values, plain = _split(put.FLAGS, words[1:])
            return RequestOp(request_put=put.put_request(values, plain, from_stdin=False))
        if name == "get":
            return RequestOp(request_range=get.range_request(*_split(get.FLAGS, words[1:])))
        values, plain = _split(delete.FLAGS, words[1:])
        return RequestOp(request_delete_range=delete.delete_request(values, plain))
    except FlagError:
        raise Failure(f"invalid txn request: {line}", INVALID_INPUT) from None


def _split(flags: tuple[Flag, ...], words: list[str]) -> tuple[FlagValues, list[str]]:
    values = FlagValues(flags)
    return values, parse(values, words)[0]


COMMANDS = (
    Command(
        "txn",
        "txn [options]",
        "Txn processes all the requests in one transaction",
        run=txn,
        flags=(Flag.switch("interactive", "Input transaction in interactive mode", short="i"),),
        long="""\
Txn reads multiple etcd requests from standard input and applies them as a single atomic transaction.

A transaction consists of three components, each ended by an empty line:
1) a list of conditions: mod, create, version, value or lease of a key, compared by =, !=, > or <,
2) a list of requests to apply if all the conditions are true,
3) a list of requests to apply if any condition is false.""",
        example="""\
  triodectl txn -i
  compares:
  mod("key1") > "0"

  success requests (get, put, del):
  put key1 "overwrote-key1"

  failure requests (get, put, del):
  put key1 "created-key1"
  put key2 "some extra key\"""",
    ),
)
