"""`defrag`: the free space of a database back to the file system."""

from __future__ import annotations

from pathlib import Path

from ....backends.bbolt_file import BboltView
from ....backends.contract import EngineOptions
from ....backends.registry import open_engine
from ....errors import TriodeError
from ...common.command import Command, Invocation
from ...common.exits import Failure
from ...common.flags import Flag
from ..locks import writing
from ..notices import info
from ..places import Member, find_member
from ..rewrite import rewrite_bbolt
from ..sound import check_pages

__all__ = ["COMMANDS"]


def defrag(call: Invocation) -> None:
    """Refuses a directory in use."""
    where = call.flags.text("data-dir")
    if not where:
        raise Failure('required flag(s) "data-dir" not set')
    try:
        member = find_member(Path(where))
        with writing(member, call.flags.seconds("timeout")):
            before, after = _defragment(member)
    except TriodeError as error:
        raise Failure(f"Failed to defragment etcd data[{where}] ({error})") from None
    info("finished defragmenting", path=str(member.db), before_bytes=before, after_bytes=after)


def _defragment(member: Member) -> tuple[int, int]:
    """The size before and after, bytes."""
    before = member.db.stat().st_size
    if member.is_etcds:
        with BboltView(member.db) as view:
            check_pages(view, "database")
            rewrite_bbolt(member.db, view)
    else:
        engine = open_engine(member.engine, member.db, EngineOptions(create=False))
        try:
            engine.defragment()
            engine.sync()
        finally:
            engine.close()
    return before, member.db.stat().st_size


COMMANDS = (
    Command(
        "defrag",
        "defrag",
        "Defragments the storage of a member that is not running",
        run=defrag,
        arguments=(0, 0),
        long=(
            "Gives the space of deleted and compacted keys back to the file system, for Triode's data directories and for\n"
            "etcd's. It needs as much free space as the data takes. To defragment a running member, use\n"
            "`triodectl defrag`."
        ),
        example="  triodeutl defrag --data-dir default.triode",
        flags=(
            Flag.text("data-dir", "Required. The data directory of a member that is not running"),
        ),
    ),
)
