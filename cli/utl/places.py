"""What a path is: a data directory of Triode's, one of etcd's, or a database file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

from ...backends.faults import fail_os
from ...errors import StorageError

__all__ = ["Member", "find_member"]

ETCDS: Final = "bbolt"
_BESIDE: Final = ("-wal", "-shm", "-journal", "-lock")
"""What SQLite and our locks put beside a database."""


@attrs.frozen
class Member:
    """The files of one member.

    Attributes:
        data_dir: the directory.
        wal_dir: where its log is.
        db: its database.
        engine: what the database is: "bbolt" (etcd's), else the name of an engine of ours.
    """

    data_dir: Path
    wal_dir: Path
    db: Path
    engine: str

    @property
    def is_etcds(self) -> bool:
        """Whether etcd serves from it; Triode has its own name for the database."""
        return self.engine == ETCDS

    @property
    def snap_dir(self) -> Path:
        return self.db.parent

    @property
    def has_own_wal_dir(self) -> bool:
        """Whether the log is outside of the data directory."""
        return self.wal_dir != self.data_dir / "member" / "wal"


def find_member(data_dir: Path, wal_dir: Path | None = None) -> Member:
    """Look at a data directory; raises StorageError if it is none."""
    snap_dir = data_dir / "member" / "snap"
    try:
        names = sorted(path.name for path in snap_dir.iterdir())
    except FileNotFoundError:
        missing = data_dir if not data_dir.exists() else snap_dir
        raise StorageError(f"stat {missing}: no such file or directory") from None
    except NotADirectoryError:
        raise StorageError(f"{data_dir} is a file, not a data directory") from None
    except OSError as error:
        fail_os(snap_dir, "listing", error)
    ours = [n for n in names if n.startswith("db.") and not n.endswith((*_BESIDE, ".part"))]
    found = ([ETCDS] if "db" in names else []) + [name.removeprefix("db.") for name in ours]
    if not found:
        raise StorageError(
            f"{data_dir} has no database: neither {snap_dir}/db.sqlite nor, as etcd calls it, {snap_dir}/db"
        )
    if len(found) > 1:
        raise StorageError(f"{snap_dir} has several databases ({', '.join(found)}): which counts?")
    db = snap_dir / ("db" if found[0] == ETCDS else f"db.{found[0]}")
    return Member(data_dir, wal_dir or data_dir / "member" / "wal", db, found[0])
