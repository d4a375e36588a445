"""`hashkv`: the hash by which members find out whether they have diverged, of a file."""

from __future__ import annotations

from pathlib import Path

from ....backends.bbolt_file import BboltView
from ....backends.contract import View
from ....errors import Compacted, EtcdError, FutureRev
from ....mvcc.hashes import HashKV, KeyHash, kept_below
from ....mvcc.restore import read_state
from ...common.command import Command, Invocation
from ...common.exits import Failure
from ...common.flags import Flag
from ..files import open_file, open_member
from ..locks import reading, reading_file
from ..places import find_member
from ..printing import format_of, print_record
from ..sound import check_pages

__all__ = ["COMMANDS"]


def hashkv(call: Invocation) -> None:
    """HashKV as the member would answer it after its next start."""
    format_of(call, "simple", "json", "fields", "table")
    revision = call.flags.number("rev")
    path, seconds = Path(call.arguments[0]), call.flags.seconds("timeout")
    try:
        if path.is_dir():
            member = find_member(path)
            with reading(member, seconds), open_member(member) as view:
                found = hash_at(view, revision)
        else:
            with reading_file(path, seconds), open_file(path) as view:
                found = hash_at(view, revision)
    except EtcdError as error:
        raise Failure(error.message.removeprefix("etcdserver: ")) from None
    cells = {
        "hash": str(found.hash),
        "hash revision": str(found.hash_revision),
        "compact revision": str(found.compact_revision),
    }
    print_record(
        call,
        record={
            "hash": found.hash,
            "hashRevision": found.hash_revision,
            "compactRevision": found.compact_revision,
        },
        fields={
            "Hash": found.hash,
            "Hash revision": found.hash_revision,
            "Compact revision": found.compact_revision,
        },
        cells=cells,
    )


def hash_at(view: View, revision: int) -> HashKV:
    """HashKV up to `revision`, 0 for the latest; raises Compacted, FutureRev, CorruptData."""
    if isinstance(view, BboltView):
        check_pages(view, "file")
    state = read_state(view)
    compacted = max(state.scheduled_compact, state.finished_compact)
    if 0 < revision < compacted:
        raise Compacted
    if revision > state.revision:
        raise FutureRev
    revision = revision or state.revision
    return KeyHash(view, revision, compacted, kept_below(state.index, compacted, revision)).run()


COMMANDS = (
    Command(
        "hashkv",
        "hashkv <filename>",
        "Prints the KV history hash of a given file",
        run=hashkv,
        arguments=(1, 1),
        long=(
            "Prints the hash over the keys and their history up to a revision, the revision, and what was compacted.\n"
            "Members that agree have the same one at the same revision, etcd's as well: compare it with\n"
            "`triodectl endpoint hashkv`. The file may be a snapshot, a database or a data directory."
        ),
        example="  triodeutl hashkv backup.db\n  triodeutl hashkv default.triode --rev 1000 -w json",
        flags=(Flag.number("rev", "maximum revision to hash (default: latest revision)"),),
    ),
)
