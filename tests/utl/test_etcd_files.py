"""What a real etcd 3.5.1 has written, read by us; the real etcdutl and etcd itself say what is right."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.etcd

Utl = Callable[..., Any]


@pytest.mark.parametrize("form", ["simple", "table", "fields", "json"])
def test_status_is_etcdutls(form: str, etcd_filled: Any, utl: Utl, etcdutl: Utl) -> None:
    """But for what 3.6 has changed: keys are counted, not the rows of all buckets, and there is a version."""
    buckets = utl("backend", "list-buckets", etcd_filled.snapshot, "-w", "json").json
    rows, keys = sum(bucket["rows"] for bucket in buckets), 7  # k0 k1 k2 k4 leased large \x00bin
    ours = utl("snapshot", "status", etcd_filled.snapshot, "-w", form)
    theirs = etcdutl("snapshot", "status", etcd_filled.snapshot, "-w", form)
    assert (ours.code, theirs.code) == (0, 0)
    if form == "json":
        assert theirs.json["totalKey"] == rows
        assert ours.json == {**theirs.json, "totalKey": keys, "version": ""}
    elif form == "simple":
        cells = theirs.out.rstrip("\n").split(", ")
        assert cells[2] == str(rows)
        assert ours.out == f"{cells[0]}, {cells[1]}, {keys}, {cells[3]}, \n"
    elif form == "fields":
        expected = theirs.out.replace(f'"Keys" : {rows}', f'"Keys" : {keys}')
        assert ours.out == expected + '"Version" : \n'
    else:
        mine, other = (text.splitlines()[3].split("|")[1:-1] for text in (ours.out, theirs.out))
        assert [mine[0], mine[1], mine[3]] == [other[0], other[1], other[3]]
        assert (mine[2].strip(), other[2].strip(), mine[4].strip()) == (str(keys), str(rows), "")


def test_hashkv_is_what_the_server_said(etcd_filled: Any, utl: Utl) -> None:
    for revision, expected in etcd_filled.hashes.items():
        found = utl("hashkv", etcd_filled.snapshot, "--rev", revision, "-w", "json").json
        assert found == {"hash": expected, "hashRevision": revision, "compactRevision": 5}
    newest = utl("hashkv", etcd_filled.data_dir, "-w", "json").json
    assert newest["hash"] == etcd_filled.hashes[etcd_filled.revision]
    assert newest["hashRevision"] == etcd_filled.revision


def test_a_directory_of_etcds_is_sound(etcd_filled: Any, utl: Utl) -> None:
    done = utl("check", etcd_filled.data_dir)
    assert done.code == 0, done.out
    assert "no problems" in done.out
    assert utl("wal", "verify", etcd_filled.data_dir).out.endswith("the log is sound\n")


def test_reading_changes_nothing(etcd_dir: Path, utl: Utl) -> None:
    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(etcd_dir.rglob("*")) if p.is_file()}

    before = content()
    for words in (
        ["check"],
        ["metadata"],
        ["hashkv"],
        ["wal", "dump"],
        ["backend", "list-buckets"],
    ):
        assert utl(*words, etcd_dir).code == 0
    assert content() == before


def test_metadata(etcd_filled: Any, utl: Utl, etcdutl: Utl) -> None:
    found = utl("metadata", etcd_filled.data_dir, "-w", "json").json
    assert found["made-by"] == "etcd"
    assert found["revision"] == etcd_filled.revision
    assert found["compact-revision"] == 5
    assert found["commit-index"] == found["consistent-index"] == found["last-index"]
    assert [member["name"] for member in found["members"]] == ["default"]
    assert f"{found['members'][0]['id']:x}" == found["member-id"]
    simple = utl("metadata", etcd_filled.data_dir).out
    assert f"member-id: {found['member-id']}\n" in simple


def test_dump_says_what_was_asked_for(etcd_filled: Any, utl: Utl) -> None:
    dumped = utl("wal", "dump", etcd_filled.data_dir).out
    assert 'put:{key:"k0" value:"v0"}' in dumped
    assert "compaction:{revision:5}" in dumped
    assert "method=ConfChangeAddNode id=" in dumped
    assert 'path="/0/version" val="3.5.0"' in dumped  # of the second API, as 3.5 writes it
    assert "secret-word" not in dumped
    assert "<value removed>" in dumped
    puts = utl(
        "wal", "dump", etcd_filled.data_dir, "--entry-type", "IRRPut,IRRTxn", "-w", "json"
    ).lines
    assert [line["index"] for line in puts] == sorted(line["index"] for line in puts)
    assert {key for line in puts for key in line["request"]} == {"put", "txn", "header"}
    later = utl(
        "wal", "dump", etcd_filled.data_dir, "--start-index", puts[1]["index"], "--end-index", puts[1]["index"] + 1,
        "-w", "json",
    ).lines  # fmt: skip
    assert later == [puts[1]]
    states = utl("wal", "dump", etcd_filled.data_dir, "--entry-type", "State", "-w", "json").lines
    commits = [state["commit"] for state in states]
    assert commits == sorted(commits)
    assert len(commits) > 3


def test_rows_decoded(etcd_filled: Any, utl: Utl) -> None:
    path = etcd_filled.snapshot
    keys = utl("backend", "dump", path, "key").out
    assert (
        'rev={Revision:{Main:3 Sub:0} tombstone:false}, value=[key "k1" | val "v1" | created 3'
        in keys
    )
    assert "tombstone:true}" in keys
    assert (
        'user="alice", roles=["reader"], password=set'
        in utl("backend", "dump", path, "authUsers").out
    )
    assert 'READ ["k", "l")' in utl("backend", "dump", path, "authRoles").out
    assert "TTL=1000s" in utl("backend", "dump", path, "lease").out
    assert (
        'key="scheduledCompactRev", value={Main:5 Sub:0}'
        in utl("backend", "dump", path, "meta").out
    )
    two = utl("backend", "dump", path, "key", "--limit", 2, "--reverse").out.splitlines()
    assert two == list(reversed(keys.splitlines()[-2:]))
    raw = utl("backend", "dump", path, "key", "--decode=false", "--limit", 1).out
    assert raw.startswith(r'key="\x00\x00\x00\x00\x00\x00\x00\x02_')


def test_etcd_goes_on_after_our_defrag(
    etcd_dir: Path, utl: Utl, launch_etcd: Callable[..., Any], etcd_filled: Any
) -> None:
    """And after the storage version has been to 3.6 and back."""
    before = utl("hashkv", etcd_dir, "-w", "json").json
    done = utl("defrag", "--data-dir", etcd_dir)
    assert (done.code, done.out) == (0, ""), done.err
    assert utl("hashkv", etcd_dir, "-w", "json").json == before
    for target in ("3.6", "3.5"):
        assert utl("migrate", "--data-dir", etcd_dir, "--target-version", target).code == 0
        assert utl("metadata", etcd_dir, "-w", "json").json["storage-version"] == target
    assert utl("check", etcd_dir).code == 0
    server = launch_etcd(data_dir=etcd_dir)
    assert server.ctl("get", "k1").stdout == "k1\ntxn\n"
    said = json.loads(server.ctl("endpoint", "hashkv", "-w", "json").stdout)[0]["HashKV"]
    assert said["hash"] == etcd_filled.hashes[etcd_filled.revision]
    assert server.ctl("put", "after", "x").returncode == 0
    assert server.ctl("defrag").returncode == 0


def test_the_database_stays_its_owners(etcd_dir: Path, utl: Utl) -> None:
    """Root may defragment what etcd's own user serves afterwards."""
    database = etcd_dir / "member" / "snap" / "db"
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(database, 12345, 23456)
    assert utl("defrag", "--data-dir", etcd_dir).code == 0
    found = database.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 23456, 0o600)


def test_a_running_etcd_is_left_alone(launch_etcd: Callable[..., Any], utl: Utl) -> None:
    server = launch_etcd()
    server.ctl("put", "a", "1")
    where = server.data_dir
    for words in (
        ["defrag", "--data-dir", where],
        ["migrate", "--data-dir", where, "--target-version", "3.5"],
        ["check", where],
        ["metadata", where],
        ["hashkv", where],
        ["snapshot", "status", where / "member" / "snap" / "db"],
        ["wal", "verify", where],
        ["backend", "list-buckets", where],
    ):
        done = utl(*words, "--timeout", "60ms")
        assert done.code == 1
        assert "is in use" in done.err
    assert server.ctl("get", "a").stdout == "a\n1\n"


def test_it_waits_for_the_lock(etcd_dir: Path) -> None:
    """As long as --timeout says, and says so itself after a second."""
    words = ["-m", "triode.cli.utl", "metadata", etcd_dir, "--timeout", "30s"]
    with (etcd_dir / "member" / "snap" / "db").open("rb") as database:
        fcntl.flock(database, fcntl.LOCK_EX)
        with subprocess.Popen(
            [os.sys.executable, *map(str, words)],  # type: ignore[attr-defined]
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            assert "waiting for it to stop" in process.stderr.readline()
            fcntl.flock(database, fcntl.LOCK_UN)
            out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "made-by: etcd" in out


def test_who_waits_on_the_old_file_does_not_serve_from_it(etcd_dir: Path, utl: Utl) -> None:
    """An etcd that opened the database before defrag replaced it must not go on with a file without a name."""
    from triode.backends.bbolt_file import BboltView
    from triode.errors import CorruptData

    database = etcd_dir / "member" / "snap" / "db"
    beside = database.with_name("hard-link")
    os.link(database, beside)
    assert utl("defrag", "--data-dir", etcd_dir).code == 0
    with pytest.raises(CorruptData):
        BboltView(beside)
    BboltView(database).close()


def test_a_directory_with_snapshots_of_the_log(
    launch_etcd: Callable[..., Any], launch_triode: Callable[..., Any], utl: Utl
) -> None:
    """The log begins behind its start, and etcd keeps a `.snap` file, without which it would not start."""
    for launch in (launch_etcd, launch_triode):
        server = launch("--snapshot-count", "4")
        for number in range(14):
            server.ctl("put", "a", str(number))
        server.stop()
        found = utl("metadata", server.data_dir, "-w", "json").json
        assert found["snapshot-index"] > 4
        done = utl("check", server.data_dir)
        assert done.code == 0, done.out
        snaps = sorted((server.data_dir / "member" / "snap").glob("*.snap"))
        if launch is launch_triode:
            assert not snaps
            continue
        newest = snaps[-1]
        content = bytearray(newest.read_bytes())
        content[-5] ^= 1
        newest.write_bytes(content)
        assert "the checksum is wrong" in utl("check", server.data_dir).out
        for path in snaps:
            path.unlink()
        done = utl("check", server.data_dir)
        assert done.code == 1
        assert "is missing, from which etcd up to 3.6 starts" in done.out


def test_members_that_come_and_go(
    launch_etcd: Callable[..., Any], launch_triode: Callable[..., Any], utl: Utl
) -> None:
    """The table of members, raft's configuration and the log agree at each step."""
    for launch in (launch_etcd, launch_triode):
        server = launch()
        added = server.ctl("member", "add", "x", "--learner", "--peer-urls", "http://127.0.0.1:9")
        assert added.returncode == 0, added.stderr
        server.stop()
        done = utl("check", server.data_dir)
        assert done.code == 0, done.out
        server = launch(data_dir=server.data_dir)
        identity = added.stdout.split()[1]
        assert server.ctl("member", "remove", identity).returncode == 0
        server.stop()
        done = utl("check", server.data_dir)
        assert done.code == 0, done.out
        assert utl("backend", "dump", server.data_dir, "members_removed").out.count("key=") == 1
        dumped = utl("wal", "dump", server.data_dir, "--entry-type", "ConfigChange").out
        assert f"method=ConfChangeAddLearnerNode id={identity}" in dumped
        assert f"method=ConfChangeRemoveNode id={identity}" in dumped
