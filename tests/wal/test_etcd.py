"""Logs are exchanged with the real etcd, both ways."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

import pytest

from triode.raft.codec import decode_entry, decode_hard_state
from triode.raft.disk import RealDisk
from triode.raft.types import Entry, HardState
from triode.raft.wal import WAL, Contents, Metadata, RecordType, WalSnapshot
from triode.raft.wal.reader import SegmentReader

pytestmark = pytest.mark.etcd


class EtcdServer(Protocol):
    """The fixture `etcd`."""

    directory: Path

    def start(self) -> None: ...
    def ctl(self, *arguments: str) -> str: ...
    def kill(self) -> None: ...


@pytest.fixture
def used_etcd(etcd: EtcdServer) -> EtcdServer:
    """An etcd that was given three keys and then killed."""
    etcd.start()
    for number in range(3):
        etcd.ctl("put", f"key-{number}", f"value-{number}")
    etcd.kill()
    return etcd


def _read(directory: Path) -> Contents:
    wal = WAL.open(RealDisk(), directory)
    try:
        return wal.read_all()
    finally:
        wal.close()


def test_etcds_log_is_read(used_etcd: EtcdServer) -> None:
    metadata, hard_state, entries = _read(used_etcd.directory / "member" / "wal")
    decoded = Metadata.decode(metadata)
    assert decoded.node_id != 0
    assert decoded.cluster_id != 0
    assert metadata == decoded.encode()
    assert hard_state.vote == decoded.node_id
    assert hard_state.term >= 2
    assert [entry.index for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[0].type == 1  # the membership of the first member
    text = b"".join(entry.data for entry in entries)
    for number in range(3):
        assert b"key-%d" % number in text
        assert b"value-%d" % number in text


def test_a_copy_is_etcds_file_byte_for_byte(used_etcd: EtcdServer, tmp_path: Path) -> None:
    """What etcd wrote, saved by us in the same order, gives the same bytes, checksums included."""
    theirs = used_etcd.directory / "member" / "wal"
    name = "0000000000000000-0000000000000000.wal"
    size = (theirs / name).stat().st_size
    metadata, hard_state, entries = _read(theirs)
    wal = WAL.create(RealDisk(), tmp_path / "ours", metadata)
    state = HardState()
    for kind, data in _records(theirs / name):
        if kind == RecordType.ENTRY:
            index = decode_entry(data).index
            wal.save(None, entries[index - 1 : index])
        elif kind == RecordType.STATE:
            state = decode_hard_state(data)
            wal.save(state, [])
    wal.sync()
    wal.close()
    assert state == hard_state
    assert (tmp_path / "ours" / name).stat().st_size == size == 64_000_000
    assert (tmp_path / "ours" / name).read_bytes() == (theirs / name).read_bytes()


def _records(path: Path) -> list[tuple[int, bytes]]:
    reader = SegmentReader(str(path), path.read_bytes(), None, last=True)
    return [(record.type, record.data) for record in reader]


def test_etcd_opens_our_log(used_etcd: EtcdServer) -> None:
    """etcd loses its log and its database, and rebuilds the keys from a log of our making."""
    member = used_etcd.directory / "member"
    metadata, hard_state, entries = _read(member / "wal")
    shutil.rmtree(member / "wal")
    shutil.rmtree(member / "snap")
    wal = WAL.create(RealDisk(), member / "wal", metadata, segment_bytes=512)
    for entry in entries:
        wal.save(None, [entry])
        wal.sync()
    wal.save(hard_state, [])
    wal.close()
    # A put that etcd never saw, appended after reopening.
    wal = WAL.open(RealDisk(), member / "wal", WalSnapshot())
    wal.read_all()
    put = next(entry for entry in entries if b"key-0" in entry.data)
    extra = Entry(hard_state.term, len(entries) + 1, put.type, put.data.replace(b"key-0", b"key-9"))
    wal.save(hard_state._replace(commit=extra.index), [extra])
    wal.sync()
    wal.close()
    assert len(list((member / "wal").glob("*.wal"))) > 1

    used_etcd.start()
    answer = used_etcd.ctl("get", "--prefix", "key-").split()
    assert answer == [
        "key-0",
        "value-0",
        "key-1",
        "value-1",
        "key-2",
        "value-2",
        "key-9",
        "value-0",
    ]

    # And it goes on writing where we ended; we can read that, too.
    used_etcd.ctl("put", "key-0", "once more")
    used_etcd.kill()
    assert b"once more" in _read(member / "wal").entries[-1].data
