"""The records of a log one by one, as lines: what `wal dump` prints."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any, Final

import attrs

from ...raft.codec import decode_entry, decode_hard_state
from ...raft.types import EntryType
from ...raft.wal import Metadata, RecordType, Segment, WalSnapshot
from ...raft.wal.reader import Record
from ...rpc.pb.raft_internal_pb2 import InternalRaftRequest
from . import requests

__all__ = ["RECORD_KINDS", "Line", "Wanted", "entry_kinds", "line_of"]

RECORD_KINDS: Final = ("Metadata", "State", "Snapshot", "CRC")
_NO_INDEX: Final = "-"


def entry_kinds() -> list[str]:
    """Every entry type that may be asked for."""
    fields = [field.name for field in InternalRaftRequest.DESCRIPTOR.fields]
    wanted = [requests.request_kind(name) for name in fields if name not in {"ID", "header"}]
    return [
        requests.CONFIG_CHANGE,
        "Normal",
        "Request",
        "InternalRaftRequest",
        *wanted,
        *RECORD_KINDS,
    ]


@attrs.frozen
class Line:
    """One record.

    Attributes:
        kind: a short name for the column.
        term, index: where it has them.
        text: what it says.
        record: the same for JSON.
    """

    kind: str
    term: int | None
    index: int | None
    text: str
    record: dict[str, Any]

    def tabbed(self) -> str:
        """As etcd-dump-logs prints entries: term, index, kind and data, between tabs."""
        term = _NO_INDEX if self.term is None else str(self.term)
        index = _NO_INDEX if self.index is None else str(self.index)
        return f"{term:>4}\t{index:>10}\t{self.kind}\t{self.text}"


@attrs.frozen
class Wanted:
    """Which records are shown: of these types (all, if there are none), with an index in [start, end).

    Records without an index are shown when nothing is asked for, or their type is.
    """

    kinds: Collection[str] = ()
    start: int = 0
    end: int = sys.maxsize

    @property
    def everything(self) -> bool:
        return not self.kinds and self.start == 0 and self.end == sys.maxsize

    def takes(self, kinds: Collection[str], index: int | None) -> bool:
        if self.kinds and not set(self.kinds) & set(kinds):
            return False
        if index is None:
            return bool(self.kinds) or self.everything
        return self.start <= index < self.end


def line_of(segment: Segment, record: Record, wanted: Wanted) -> Line | None:
    """How a record is shown; None if it is not wanted. Raises ValueError if it cannot be decoded."""
    where = {"file": segment.name, "offset": record.offset}
    if record.type == RecordType.ENTRY:
        return _entry(record, wanted, where)
    kind, line = _OTHERS[RecordType(record.type)](record, where)
    return line if wanted.takes((kind,), line.index) else None


def _entry(record: Record, wanted: Wanted, where: dict[str, Any]) -> Line | None:
    entry = decode_entry(record.data)
    if not wanted.start <= entry.index < wanted.end:
        return None
    request = requests.decode(entry) if entry.type == EntryType.NORMAL else None
    kinds = requests.kinds(entry, request)
    if not wanted.takes(kinds, entry.index):
        return None
    kind = "norm" if entry.type == EntryType.NORMAL else "conf"
    fields = {"type": "entry", "term": entry.term, "index": entry.index}
    fields |= {"entryType": f"Entry{entry.type.name.title().replace('_', '')}"}
    fields |= requests.request_json(entry, request)
    text = requests.request_text(entry, request)
    return Line(kind, entry.term, entry.index, text, fields | where)


def _metadata(record: Record, where: dict[str, Any]) -> tuple[str, Line]:
    found = Metadata.decode(record.data)
    text = f"nodeID={found.node_id:x} clusterID={found.cluster_id:x}"
    fields = {
        "type": "metadata",
        "nodeID": f"{found.node_id:x}",
        "clusterID": f"{found.cluster_id:x}",
    }
    return "Metadata", Line("meta", None, None, text, fields | where)


def _state(record: Record, where: dict[str, Any]) -> tuple[str, Line]:
    term, vote, commit = decode_hard_state(record.data)
    text = f"term={term} vote={vote:x} commitIndex={commit}"
    fields = {"type": "state", "term": term, "vote": f"{vote:x}", "commit": commit}
    return "State", Line("state", term, None, text, fields | where)


def _snapshot(record: Record, where: dict[str, Any]) -> tuple[str, Line]:
    found = WalSnapshot.decode(record.data)
    fields: dict[str, Any] = {"type": "snapshot", "term": found.term, "index": found.index}
    text = "no members yet"
    if found.conf_state is not None:
        state = found.conf_state
        text = f"voters={requests.members_text(state.voters)}"
        fields["voters"] = [f"{each:x}" for each in state.voters]
        if state.learners:
            text += f" learners={requests.members_text(state.learners)}"
            fields["learners"] = [f"{each:x}" for each in state.learners]
    return "Snapshot", Line("snap", found.term, found.index, text, fields | where)


def _crc(record: Record, where: dict[str, Any]) -> tuple[str, Line]:
    fields = {"type": "crc", "crc": record.crc}
    return "CRC", Line("crc", None, None, f"{record.crc:08x}", fields | where)


_OTHERS: Final = {
    RecordType.METADATA: _metadata,
    RecordType.STATE: _state,
    RecordType.SNAPSHOT: _snapshot,
    RecordType.CRC: _crc,
}
