"""Files that are damaged, and what our tool says of them: each kind of damage once, made by hand."""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triode.actors.member import Member
from triode.backends.bbolt_check import bbolt_problems
from triode.backends.bbolt_file import BboltView
from triode.raft.disk import RealDisk
from triode.raft.types import ConfState, Entry, HardState
from triode.raft.wal import WAL, Metadata, WalSnapshot
from triode.rpc.pb.raft_internal_pb2 import InternalRaftRequest

Utl = Callable[..., Any]
PAGE = 4096


# --- pages of a bbolt file ------------------------------------------------------------------------


@pytest.fixture
def large(rows: Any, write_snapshot: Utl) -> Path:
    """A snapshot of many pages."""
    for n in range(5, 3000):
        rows["lease"][n.to_bytes(8, "big")] = b"\x08" + _varint(n) + b"\x10\x64"
    path: Path = write_snapshot(rows)
    return path


def _varint(n: int) -> bytes:
    return bytes([n & 127 | 128, n >> 7]) if n > 127 else bytes([n])


def problems(path: Path) -> list[str]:
    with BboltView(path) as view:
        return bbolt_problems(view)


def pages_of_kind(content: bytes | bytearray, kind: int) -> list[int]:
    every = range(len(content) // PAGE)
    return [n for n in every if struct.unpack_from("<H", content, n * PAGE + 8)[0] == kind]


def test_a_sound_file(large: Path) -> None:
    assert problems(large) == []
    with BboltView(large) as view:
        assert view.meta.pages > 20


def test_a_swapped_page(large: Path) -> None:
    """It is a sound leaf, but another one's: a reader would not notice."""
    content = bytearray(large.read_bytes())
    first, second, *_ = pages_of_kind(content, 0x02)[3:]
    content[first * PAGE : (first + 1) * PAGE] = content[second * PAGE : (second + 1) * PAGE]
    large.write_bytes(content)
    assert f"page {first}: its header is that of page {second}" in problems(large)


def test_a_page_that_is_reached_twice(large: Path) -> None:
    content = bytearray(large.read_bytes())
    branch = pages_of_kind(content, 0x01)[0]
    at = branch * PAGE + 16
    (child,) = struct.unpack_from("<Q", content, at + 8)
    struct.pack_into("<Q", content, at + 16 + 8, child)
    large.write_bytes(content)
    found = problems(large)
    assert f"page {child}: multiple references" in found
    assert any(problem.endswith("unreachable unfreed") for problem in found)


def test_a_child_that_lies_outside(large: Path) -> None:
    content = bytearray(large.read_bytes())
    branch = pages_of_kind(content, 0x01)[0]
    struct.pack_into("<Q", content, branch * PAGE + 16 + 8, 1 << 40)
    large.write_bytes(content)
    assert any("out of bounds" in problem for problem in problems(large))


def test_a_page_of_another_kind(large: Path) -> None:
    content = bytearray(large.read_bytes())
    leaf = pages_of_kind(content, 0x02)[4]
    struct.pack_into("<H", content, leaf * PAGE + 8, 0x07)
    large.write_bytes(content)
    assert f"page {leaf}: invalid type: unknown<07>" in problems(large)


def test_keys_that_do_not_ascend(large: Path) -> None:
    content = bytearray(large.read_bytes())
    key = (1500).to_bytes(8, "big")
    content[content.index(key)] = 0xFF
    large.write_bytes(content)
    assert any("does not follow" in problem for problem in problems(large))


def test_a_page_in_use_that_is_listed_as_free(large: Path) -> None:
    content = bytearray(large.read_bytes())
    (free,) = pages_of_kind(content, 0x10)
    leaf = pages_of_kind(content, 0x02)[4]
    struct.pack_into("<H", content, free * PAGE + 10, 2)
    struct.pack_into("<QQ", content, free * PAGE + 16, leaf, leaf)
    large.write_bytes(content)
    found = problems(large)
    assert f"page {leaf}: reachable freed" in found
    assert f"page {leaf}: already freed" in found


@pytest.mark.etcd
def test_etcdutl_refuses_what_we_refuse(large: Path, utl: Utl, etcdutl: Utl) -> None:
    content = bytearray(large.read_bytes())
    branch = pages_of_kind(content, 0x01)[0]
    (child,) = struct.unpack_from("<Q", content, branch * PAGE + 16 + 8)
    struct.pack_into("<Q", content, branch * PAGE + 32 + 8, child)
    large.write_bytes(content)
    mine, theirs = utl("snapshot", "status", large), etcdutl("snapshot", "status", large)
    assert mine.code == theirs.code == 1
    for text in ("snapshot file integrity check failed.", f"page {child}: multiple references"):
        assert text in mine.err
        assert text in theirs.err


def test_any_damage_is_told_and_nothing_else(large: Path, tmp_path: Path, utl: Utl) -> None:
    """Bytes, sectors and ends at random: an answer or an error in words, never anything else."""
    random_ = random.Random(1)
    sound = large.read_bytes()
    target = tmp_path / "to"
    refused = 0
    for _ in range(40):
        content = bytearray(sound)
        for _ in range(random_.choice([1, 1, 3, 30])):
            at = random_.randrange(len(content))
            match random_.randrange(4):
                case 0:
                    content[at : at + 512] = bytes(len(content[at : at + 512]))
                case 1 if len(content) > 2:
                    del content[at + 1 :]
                case _:
                    content[at] = random_.randrange(256)
        large.write_bytes(content)
        status = utl("snapshot", "status", large)
        assert status.code in {0, 1}
        refused += status.code
        for words in (["hashkv"], ["backend", "hash"]):
            assert utl(*words, large).code in {0, 1}
        utl("snapshot", "restore", large, "--skip-hash-check", "--data-dir", target)
        shutil.rmtree(target, ignore_errors=True)
    assert refused > 20


# --- a member's directory -------------------------------------------------------------------------


def findings(done: Any) -> list[str]:
    return [line for line in done.out.splitlines() if line.startswith("problem: ")]


MINE = 0x8E9E05C52164694D


def member(**changes: Any) -> bytes:
    return Member(
        **{"id": MINE, "peer_urls": ("http://localhost:2380",), "name": "default", **changes}
    ).to_json()


TABLES: dict[str, dict[str, dict[bytes, bytes | None]]] = {
    "database ends at log index 0, but the log begins at 1": {"meta": {b"consistent_index": None}},
    "database is at log index 77, but the log ends at 1": {
        "meta": {b"consistent_index": (77).to_bytes(8, "big")}
    },
    "has executed index 1 as of term 9, the log has term 1": {
        "meta": {b"term": (9).to_bytes(8, "big")}
    },
    "is none of the members in the database": {
        "members": {b"%x" % MINE: None, b"5": member(id=5)},
    },
    "has been removed from the cluster": {
        "members": {b"%x" % MINE: None},
        "members_removed": {b"%x" % MINE: b"removed"},
    },
    "the log's last snapshot has voters 8e9e05c52164694d, the database 8e9e05c52164694d (learner)": {
        "members": {b"%x" % MINE: member(is_learner=True)}
    },
    "there is no voter among the members": {"members": {b"%x" % MINE: member(is_learner=True)}},
    "confState is not one": {"meta": {b"confState": b"nothing"}},
    "is the peer URL of 5 and of": {"members": {b"5": member(id=5)}},
    "is a member and has been removed as well": {"members_removed": {b"%x" % MINE: b"removed"}},
    "is no member's record": {"members": {b"5": b"[]"}},
    "has the record of 6": {"members": {b"5": member(id=6)}},
    "is no member's ID": {"members": {b"zz": member()}},
    "clusterVersion is no version": {"cluster": {b"clusterVersion": b"new"}},
    "downgrade cannot be read": {"cluster": {b"downgrade": b"{"}},
    "is not an AlarmMember": {"alarm": {b"\x0a": b""}},
    "there is no user root with the role root": {"auth": {b"authEnabled": b"\1"}},
    "authEnabled is neither yes nor no": {"auth": {b"authEnabled": b"yes"}},
    "which is not there": {"authUsers": {b"eve": b"\x0a\x03eve\x1a\x04boss"}},
    "has the record of another user": {"authUsers": {b"eve": b"\x0a\x03bob"}},
    "b'odd' cannot be read": {"authRoles": {b"odd": b"\xff"}},
    "revisions 7 to 8 are missing": {
        "key": {(9).to_bytes(8, "big") + b"_" + bytes(8): b"\x0a\1z\x10\t\x18\t\x20\1"}
    },
}


@pytest.mark.parametrize("text", TABLES)
def test_each_finding_of_check(text: str, restored: Path, utl: Utl, write_rows: Utl) -> None:
    write_rows(restored / "member" / "snap" / "db.sqlite", TABLES[text])
    done = utl("check", restored)
    assert done.code == 1
    assert any(text in line for line in findings(done)), done.out


def test_findings_as_json(restored: Path, utl: Utl, write_rows: Utl) -> None:
    assert utl("check", restored, "-w", "json").json == {
        "dataDir": str(restored), "problems": 0, "findings": []
    }  # fmt: skip
    write_rows(restored / "member" / "snap" / "db.sqlite", {"auth": {b"authEnabled": b"yes"}})
    told = utl("check", restored, "-w", "json")
    assert told.code == 1
    (finding,) = told.lines[0]["findings"]
    assert (finding["area"], finding["where"], finding["note"]) == ("tables", "bucket auth", False)


def test_notes_are_no_problems(restored: Path, utl: Utl, write_rows: Utl) -> None:
    (restored / "member.part").mkdir()
    (restored / "member" / "wal" / "0.wal.broken").touch()
    database = restored / "member" / "snap" / "db.sqlite"
    write_rows(
        database,
        {
            "alarm": {b"\x08\x05\x10\x01": b""},
            "strange": {b"a": b"b"},
            "meta": {
                b"confState": b'{"voters":[1],"learners":[2]}'
            },  # as etcdutl's restore leaves it
        },
    )
    done = utl("check", restored)
    assert done.code == 0
    for text in (
        "restore that was interrupted",
        "before its torn end",
        "NOSPACE is raised",
        "strange",
    ):
        assert text in done.out
    assert "no problems, 5 notes" in done.out


def test_a_damaged_database(restored: Path, utl: Utl) -> None:
    database = restored / "member" / "snap" / "db.sqlite"
    content = bytearray(database.read_bytes())
    content[3 * 16384 : 3 * 16384 + 200] = bytes(200)
    database.write_bytes(content)
    done = utl("check", restored)
    assert done.code == 1
    assert "restore this member from a snapshot" in done.out
    database.write_bytes(b"x" * 5000)
    done = utl("check", restored)
    assert done.code == 1
    assert "invalid database" in done.out


def test_another_members_log(
    restored: Path, rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    """Two directories, mixed up by somebody who moved files."""
    other = tmp_path / "other"
    done = utl(
        "snapshot", "restore", write_snapshot(rows), "--data-dir", other, "--name", "b",
        "--initial-cluster", "b=http://localhost:9", "--initial-advertise-peer-urls", "http://localhost:9",
    )  # fmt: skip
    assert done.code == 0
    shutil.rmtree(restored / "member" / "wal")
    shutil.copytree(other / "member" / "wal", restored / "member" / "wal")
    assert any("another member's" in line for line in findings(utl("check", restored)))


# --- the log ----------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of several small files."""
    directory = tmp_path / "log"
    wal = WAL.create(RealDisk(fsync=False), directory, Metadata(7, 9).encode(), segment_bytes=1000)
    for index in range(1, 60):
        request = InternalRaftRequest()
        request.put.key = b"key %d" % index
        wal.save(HardState(1, 7, index - 1), [Entry(1, index, data=request.SerializeToString())])
        wal.sync()
        if index == 20:
            wal.save_snapshot(WalSnapshot(19, 1, ConfState(voters=(7,))))
    wal.save(HardState(1, 7, 59), [])
    wal.sync()
    wal.close()
    return directory


def files(log: Path) -> list[Path]:
    return sorted(log.glob("*.wal"))


def verify(utl: Utl, log: Path) -> Any:
    return utl("wal", "verify", "--wal-dir", log)


def test_a_sound_log(log: Path, utl: Utl) -> None:
    assert len(files(log)) >= 3
    done = verify(utl, log)
    assert done.code == 0
    assert "snapshot at index 19 (term 1), entries up to 59; term 1, vote 7, commit 59" in done.out
    assert done.out.endswith("the log is sound\n")
    told = utl("wal", "verify", "--wal-dir", log, "-w", "json").json
    assert told["lastIndex"] == 59
    assert [file["name"] for file in told["files"]] == [path.name for path in files(log)]


def test_a_flipped_bit_is_found_where_it_is(log: Path, utl: Utl) -> None:
    """And the files behind it are read all the same."""
    first, second, *_ = files(log)
    content = bytearray(first.read_bytes())
    at = content.index(b"key 3")
    content[at] ^= 1
    first.write_bytes(content)
    done = verify(utl, log)
    assert done.code == 1
    assert f"{first} is corrupt at offset" in done.err
    assert "the checksum is wrong" in done.err
    assert "restore this member from a snapshot" in done.err
    assert f"{second.name}: " in done.out
    dumped = utl("wal", "dump", "--wal-dir", log)
    assert dumped.code == 1
    assert 'key:"key 2"' in dumped.out
    assert 'key:"key 3"' not in dumped.out
    assert 'key:"key 59"' in dumped.out


def test_a_file_is_missing(log: Path, utl: Utl) -> None:
    files(log)[1].unlink()
    done = verify(utl, log)
    assert done.code == 1
    assert "lacks a file between" in done.err


def test_a_torn_end_is_no_damage(log: Path, utl: Utl) -> None:
    """As a crash leaves it: the last record is there in part."""
    last = files(log)[-1]
    content = last.read_bytes()
    last.write_bytes(content[: content.index(b"key 59") + 3])
    done = verify(utl, log)
    assert done.code == 0, done.err
    assert "torn at offset" in done.out
    assert "the next start cuts it off" in done.out
    assert "entries up to 58" in done.out
    dumped = utl("wal", "dump", "--wal-dir", log)
    assert dumped.code == 0
    assert "torn at offset" in dumped.out


def test_a_gap_in_the_entries(tmp_path: Path, utl: Utl) -> None:
    directory = tmp_path / "log"
    wal = WAL.create(RealDisk(fsync=False), directory, Metadata(7, 9).encode(), segment_bytes=2000)
    wal.save(HardState(1, 7, 1), [Entry(1, 1, data=b"a")])
    wal.last_index = 4  # so that it lets us
    wal.save(HardState(1, 7, 1), [Entry(1, 5, data=b"b")])
    wal.sync()
    wal.close()
    done = utl("wal", "verify", "--wal-dir", directory)
    assert done.code == 1
    assert "entry 5 follows entry 1" in done.err


def test_no_log(tmp_path: Path, utl: Utl) -> None:
    done = verify(utl, tmp_path / "nowhere")
    assert done.code == 1
    assert "there is no log in" in done.err
