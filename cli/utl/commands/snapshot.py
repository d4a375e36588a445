"""`snapshot status` and `snapshot restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ....config import PEER_URL
from ...common.command import Command, Invocation
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag
from ...common.sizes import human_size
from ..files import open_file, required_buckets, total_bytes
from ..locks import reading_file
from ..printing import format_of, print_record
from ..progress import progress

__all__ = ["COMMANDS"]

DEFAULT_NAME: Final = "default"
_ROW_BYTES: Final = 300
"""About what a row takes, for a first guess of how long it will take."""


def status(call: Invocation) -> None:
    """What a file holds."""
    from ....backends.bbolt_file import BboltView
    from ....mvcc.file_status import file_status
    from ..sound import check_pages

    if len(call.arguments) != 1:
        raise Failure("snapshot status requires exactly one argument", BAD_ARGUMENTS)
    format_of(call, "simple", "json", "fields", "table")
    path = Path(call.arguments[0])
    with reading_file(path, call.flags.seconds("timeout")), open_file(path) as view:
        if isinstance(view, BboltView):
            check_pages(view, "snapshot file")
        size = total_bytes(view)
        with progress("reading rows", size // _ROW_BYTES) as on_rows:
            found = file_status(view, required_buckets(view), on_rows)
    print_record(
        call,
        record={
            "hash": found.hash,
            "revision": found.revision,
            "totalKey": found.total_keys,
            "totalSize": size,
            "version": found.version,
        },
        fields={
            "Hash": found.hash,
            "Revision": found.revision,
            "Keys": found.total_keys,
            "Size": size,
            "Version": found.version,
        },
        cells={
            "hash": f"{found.hash:x}",
            "revision": str(found.revision),
            "total keys": str(found.total_keys),
            "total size": human_size(size),
            "version": found.version,
        },
    )


def restore(call: Invocation) -> None:
    """A new member from a file."""
    from ..restore import Order, restore_member

    flags = call.flags
    if len(call.arguments) != 1:
        raise Failure("snapshot restore requires exactly one argument", BAD_ARGUMENTS)
    bump, compacted = flags.number("bump-revision"), flags.switch("mark-compacted")
    if bool(bump) != compacted:
        raise Failure("--mark-compacted required if --revision-bump > 0", BAD_ARGUMENTS)
    name = flags.text("name")
    wal_dir = flags.text("wal-dir")
    order = Order(
        snapshot=Path(call.arguments[0]),
        name=name,
        data_dir=Path(flags.text("data-dir") or f"{name}.triode"),
        wal_dir=Path(wal_dir) if wal_dir else None,
        initial_cluster=flags.text("initial-cluster"),
        initial_cluster_token=flags.text("initial-cluster-token"),
        peer_urls=flags.text("initial-advertise-peer-urls"),
        skip_hash_check=flags.switch("skip-hash-check"),
        bump_revision=bump,
        backend=flags.text("backend"),
        lock_seconds_max=flags.seconds("timeout"),
    )
    restore_member(order)


_STATUS = Command(
    "snapshot status",
    "status <filename>",
    "Gets backend snapshot status of a given file",
    run=status,
    long=(
        "Prints hash, revision, total keys, total size and storage version, after every page of the file was checked.\n"
        "Two files have the same hash exactly if they hold the same; it covers all buckets.\n"
        "The file may be a snapshot, or the database of a member that is not running (etcd's or Triode's)."
    ),
    example="  triodeutl snapshot status backup.db\n  triodeutl snapshot status backup.db -w table",
)
_RESTORE = Command(
    "snapshot restore",
    "restore <filename> --data-dir {output dir} [options]",
    "Restores a member from a snapshot to a new data directory",
    run=restore,
    long=(
        "Makes a data directory from which `triode` starts as a member of a new cluster that has the keys,\n"
        "leases, users and alarms of the snapshot. To restore a cluster, run it once for each member, from the same\n"
        "file, with the same --initial-cluster and --initial-cluster-token.\n"
        "Nothing of the directory is there before all of it is."
    ),
    example=(
        "  triodeutl snapshot restore backup.db --data-dir default.triode\n"
        "  triodeutl snapshot restore backup.db --name m1 --data-dir m1.triode \\\n"
        "    --initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380 \\\n"
        "    --initial-advertise-peer-urls http://10.0.0.1:2380 \\\n"
        "    --bump-revision 1000000000 --mark-compacted"
    ),
    flags=(
        Flag.text("data-dir", "path to the data directory to make (default NAME.triode)"),
        Flag.text("wal-dir", "path to the log's directory (inside of --data-dir if none is given)"),
        Flag.text(
            "initial-cluster",
            "initial cluster configuration for restore bootstrap",
            default=f"{DEFAULT_NAME}={PEER_URL}",
        ),
        Flag.text(
            "initial-cluster-token",
            "initial cluster token for the cluster during restore bootstrap",
            default="etcd-cluster",
        ),
        Flag.text(
            "initial-advertise-peer-urls",
            "list of this member's peer URLs to advertise to the rest of the cluster",
            default=PEER_URL,
        ),
        Flag.text("name", "human-readable name for this member", default=DEFAULT_NAME),
        Flag.switch(
            "skip-hash-check",
            "ignore snapshot integrity hash value (required if copied from data directory)",
        ),
        Flag.unsigned("initial-memory-map-size", "accepted and ignored: no memory is mapped"),
        Flag.unsigned("bump-revision", "how much to increase the latest revision after restore"),
        Flag.switch(
            "mark-compacted",
            "mark the latest revision after restore as compacted, so that watchers of older ones are told"
            " (required if --bump-revision > 0, disallowed otherwise)",
        ),
        Flag.text("backend", "storage engine of the new member", default="sqlite"),
    ),
)
COMMANDS = (
    Command("snapshot", "snapshot <subcommand>", "Manages node snapshots"),
    _RESTORE,
    _STATUS,
)
