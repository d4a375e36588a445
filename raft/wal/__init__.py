"""etcd's write-ahead log: `record` has the bytes, `reader` the rules of repair, `wal` their use."""

from __future__ import annotations

from .record import Metadata, RecordType, WalSnapshot
from .repair import Repaired
from .replay import Contents, valid_snapshots
from .segment import SEGMENT_BYTES, Prepared, Segment
from .survey import FileSurvey, Survey, survey
from .verify import Report, records, verify
from .wal import WAL

__all__ = [
    "SEGMENT_BYTES",
    "WAL",
    "Contents",
    "FileSurvey",
    "Metadata",
    "Prepared",
    "RecordType",
    "Repaired",
    "Report",
    "Segment",
    "Survey",
    "WalSnapshot",
    "records",
    "survey",
    "valid_snapshots",
    "verify",
]
