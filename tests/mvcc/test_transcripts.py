"""Runs `transcripts/*.txt` on every engine: commands above `----`, what they answered below, then an empty line.

    put KEY VALUE [lease=N] [prev] [ignore_value] [ignore_lease]        del KEY [END] [prev]
    get KEY [END] [rev=N] [limit=N] [sort=TARGET] [desc|asc] [keys] [count] [min_mod=N] [max_create=N] …
    txn, then lines `if TARGET KEY[..END] OP NUMBER|VALUE`, `then COMMAND`, `else COMMAND`, `end`; txns nest
    compact REV     sweep [ROWS]     commit    restart    crash    grant ID    revoke ID
    history REV     events [prev]    hash [REV]           hashes        rows

KEY and END are Python-like (`a`, `a\\0`, `""`); END `\\0` is the open end. With REWRITE=1 in the
environment the outputs are written anew, to be read in a diff.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from triode.backends.buffer import Backend
from triode.errors import EtcdError
from triode.mvcc.revision import MAIN_SHIFT, packed_from_disk
from triode.rpc.pb import rpc_pb2 as pb

FOLDER = Path(__file__).with_name("transcripts")
REWRITE = os.environ.get("REWRITE") == "1"
OPERATORS = {"=": 0, ">": 1, "<": 2, "!=": 3}


def unescape(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")


def show(data: bytes) -> str:
    return repr(data)[2:-1] or '""'


def show_kv(kv: Any) -> str:
    text = f"{show(kv.key)}={show(kv.value)}"
    for name, number in (
        ("create", kv.create_revision),
        ("mod", kv.mod_revision),
        ("version", kv.version),
        ("lease", kv.lease),
    ):
        text += f" {name}={number}" if number else ""
    return text


def parse_options(words: list[str]) -> tuple[list[str], dict[str, str]]:
    plain = [word for word in words if "=" not in word and word not in FLAGS]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    return plain, named | dict.fromkeys((w for w in words if w in FLAGS), "1")


FLAGS = {"prev", "ignore_value", "ignore_lease", "desc", "asc", "keys", "count"}


def put_request(words: list[str]) -> pb.PutRequest:
    plain, options = parse_options(words)
    return pb.PutRequest(
        key=unescape(plain[0]),
        value=unescape(plain[1]) if len(plain) > 1 else b"",
        lease=int(options.get("lease", 0)),
        prev_kv="prev" in options,
        ignore_value="ignore_value" in options,
        ignore_lease="ignore_lease" in options,
    )


def range_request(words: list[str]) -> pb.RangeRequest:
    plain, options = parse_options(words)
    request = pb.RangeRequest(
        key=unescape(plain[0]),
        range_end=unescape(plain[1]) if len(plain) > 1 else b"",
        revision=int(options.pop("rev", 0)),
        limit=int(options.pop("limit", 0)),
        sort_target=options.pop("sort", "KEY").upper(),
        keys_only=options.pop("keys", "") == "1",
        count_only=options.pop("count", "") == "1",
        sort_order="DESCEND"
        if options.pop("desc", "")
        else "ASCEND"
        if options.pop("asc", "")
        else "NONE",
    )
    for name, number in options.items():
        setattr(request, f"{name}_revision", int(number))
    return request


def delete_request(words: list[str]) -> pb.DeleteRangeRequest:
    plain, options = parse_options(words)
    end = unescape(plain[1]) if len(plain) > 1 else b""
    return pb.DeleteRangeRequest(key=unescape(plain[0]), range_end=end, prev_kv="prev" in options)


def compare_request(words: list[str]) -> pb.Compare:
    target, key, operator, want = words
    start, _, end = key.partition("..")
    compare = pb.Compare(
        target=target.upper(),
        result=OPERATORS[operator],
        key=unescape(start),
        range_end=unescape(end),
    )
    field = {"create": "create_revision", "mod": "mod_revision"}.get(target, target)
    setattr(compare, field, unescape(want) if target == "value" else int(want))
    return compare


def txn_request(lines: Iterator[str]) -> pb.TxnRequest:
    request = pb.TxnRequest()
    for line in lines:
        where, *words = shlex.split(line.replace("\\", "\\\\"))
        if where == "end":
            return request
        if where == "if":
            request.compare.append(compare_request(words))
            continue
        op = (request.success if where == "then" else request.failure).add()
        if not words:
            continue  # an operation with nothing in it
        kind, *rest = words
        if kind == "put":
            op.request_put.CopyFrom(put_request(rest))
        elif kind == "get":
            op.request_range.CopyFrom(range_request(rest))
        elif kind == "del":
            op.request_delete_range.CopyFrom(delete_request(rest))
        else:
            assert kind == "txn", line
            op.request_txn.CopyFrom(txn_request(lines))
    raise AssertionError("a txn without `end`")


def show_answer(answer: Any, indent: str = "") -> Iterator[str]:
    at = f"at {answer.header.revision}" if answer.header.revision else "at -"
    if isinstance(answer, pb.PutResponse):
        yield f"{indent}put {at}"
        if answer.HasField("prev_kv"):
            yield f"{indent}  before: {show_kv(answer.prev_kv)}"
    elif isinstance(answer, pb.DeleteRangeResponse):
        yield f"{indent}deleted {answer.deleted} {at}"
        for kv in answer.prev_kvs:
            yield f"{indent}  before: {show_kv(kv)}"
    elif isinstance(answer, pb.RangeResponse):
        yield f"{indent}found {answer.count} {at}" + (", more" if answer.more else "")
        for kv in answer.kvs:
            yield f"{indent}  {show_kv(kv)}"
    elif isinstance(answer, pb.TxnResponse):
        yield f"{indent}{'then' if answer.succeeded else 'else'} {at}"
        for op in answer.responses:
            yield from show_answer(getattr(op, op.WhichOneof("response")), indent + "  ")
    else:
        yield f"{indent}ok {at}"


class Interpreter:
    def __init__(self, api: Any) -> None:
        self.api = api

    def run(self, commands: list[str]) -> Iterator[str]:
        lines = iter(commands)
        for line in lines:
            name, *words = shlex.split(line.replace("\\", "\\\\"))
            if name == "txn":
                yield from self.call(txn_request(lines))
                continue
            try:
                yield from getattr(self, f"do_{name}")(*words)
            except EtcdError as error:
                yield f"error: {error.message}"

    def call(self, request: Any) -> Iterator[str]:
        answer = self.api.call(request)
        if isinstance(answer, tuple):
            yield f"error: {answer[1]} ({answer[0]})"
        else:
            yield from show_answer(answer)

    def do_put(self, *words: str) -> Iterator[str]:
        return self.call(put_request(list(words)))

    def do_get(self, *words: str) -> Iterator[str]:
        return self.call(range_request(list(words)))

    def do_del(self, *words: str) -> Iterator[str]:
        return self.call(delete_request(list(words)))

    def do_compact(self, revision: str) -> Iterator[str]:
        return self.call(pb.CompactionRequest(revision=int(revision)))

    def do_grant(self, lease: str) -> Iterator[str]:
        return self.call(pb.LeaseGrantRequest(ID=int(lease), TTL=60))

    def do_revoke(self, lease: str) -> Iterator[str]:
        return self.call(pb.LeaseRevokeRequest(ID=int(lease)))

    def do_sweep(self, rows: str = "1000") -> Iterator[str]:
        yield "done" if self.api.store.compaction_slice(int(rows)) else "more"

    def do_commit(self) -> Iterator[str]:
        self.api.backend.commit()
        yield from ()

    def do_restart(self) -> Iterator[str]:
        self.api.backend.commit()
        return self.do_crash()

    def do_crash(self) -> Iterator[str]:
        """Open again what was committed."""
        self.api.backend = Backend(self.api.backend.engine)
        self.api.open()
        yield f"revision {self.api.store.revision}, compacted {self.api.store.compact_revision}"

    def do_history(self, revision: str) -> Iterator[str]:
        history = self.api.store.history(int(revision), 1000)
        yield from self.show_events(history.events)

    def do_events(self, prev: str = "") -> Iterator[str]:
        yield from self.show_events(self.api.store.take_events(), prev=bool(prev))

    def show_events(self, events: list[Any], *, prev: bool = False) -> Iterator[str]:
        for event in events:
            yield f"{'DELETE' if event.kind else 'PUT'} at {event.mod_revision}: " + show_kv(
                pb.PutResponse.FromString(event.kv).prev_kv
            )
            before = self.api.store.prev_kv(event) if prev else None
            if before:
                yield f"  before: {show_kv(pb.PutResponse.FromString(before).prev_kv)}"

    def do_hash(self, revision: str = "0") -> Iterator[str]:
        found = self.api.store.hash_kv(int(revision))
        yield f"{found.hash:08x} of {found.hash_revision}, compacted {found.compact_revision}"

    def do_hashes(self) -> Iterator[str]:
        for found in self.api.store.compaction_hashes:
            yield f"{found.hash:08x} of {found.hash_revision}, compacted {found.compact_revision}"

    def do_rows(self) -> Iterator[str]:
        """What is in the bucket."""
        for disk, kv in self.api.backend.range("key", b"", None):
            packed = packed_from_disk(disk)
            key = pb.RangeResponse.FromString(b"\x12" + bytes((len(kv),)) + kv).kvs[0].key
            mark = "t" if packed & 1 else ""
            yield f"{packed >> MAIN_SHIFT}_{(packed & 0xFFFFFFFF) >> 1}{mark} {show(key)}"


def blocks(text: str) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """(comments, commands, outputs) of each block."""
    for block in text.strip("\n").split("\n\n"):
        above, _, below = block.partition("\n----")
        lines = above.split("\n")
        comments = [line for line in lines if line.startswith("#")]
        commands = [line for line in lines if line and not line.startswith("#")]
        yield comments, commands, below.strip("\n").split("\n") if below.strip() else []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path: Path, engine_api: Any) -> None:
    interpreter = Interpreter(engine_api)
    written = []
    for comments, commands, expected in blocks(path.read_text()):
        if not commands:
            written.append("\n".join(comments))
            continue
        found = list(interpreter.run(commands))
        written.append("\n".join([*comments, *commands, "----", *found]))
        if not REWRITE:
            assert found == expected, f"{path.name}:\n" + "\n".join(commands)
    if REWRITE:
        path.write_text("\n\n".join(written) + "\n")
