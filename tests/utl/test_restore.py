"""Restoring: from etcd's snapshots and from ours, to our nodes and to etcd's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from triode.actors.member import cluster_id, member_id
from triode.actors.storage import data_dir_of
from triode.config import Config

Utl = Callable[..., Any]
Launch = Callable[..., Any]


def ctl_json(server: Any, *words: str) -> Any:
    return json.loads(server.ctl(*words, "-w", "json").stdout)


@pytest.mark.etcd
def test_a_node_from_etcds_snapshot(
    etcd_filled: Any, tmp_path: Path, utl: Utl, etcdutl: Utl, launch_triode: Launch
) -> None:
    """Everything is there, and the IDs are those that etcdutl gives."""
    where = tmp_path / "restored"
    done = utl("snapshot", "restore", etcd_filled.snapshot, "--data-dir", where)
    assert (done.code, done.out) == (0, "")
    assert "restored snapshot" in done.err
    assert utl("check", where).code == 0
    theirs = tmp_path / "theirs"
    assert etcdutl("snapshot", "restore", etcd_filled.snapshot, "--data-dir", theirs).code == 0
    mine, other = (utl("metadata", each, "-w", "json").json for each in (where, theirs))
    for name in (
        "member-id",
        "cluster-id",
        "term",
        "vote",
        "commit-index",
        "last-index",
        "snapshot-index",
        "members",
    ):
        assert mine[name] == other[name], name
    assert mine["consistent-index"] == 1
    assert mine["revision"] == other["revision"] == etcd_filled.revision
    server = launch_triode(data_dir=where)
    assert server.ctl("get", "k1").stdout == "k1\ntxn\n"
    assert server.ctl("get", "k1", "--rev", "8").stdout == "k1\nv1\n"
    leased = ctl_json(server, "get", "leased")["kvs"][0]["lease"]
    assert (
        f"lease {leased:016x} granted with TTL(1000s)"
        in server.ctl("lease", "timetolive", f"{leased:x}").stdout
    )
    found = ctl_json(server, "endpoint", "hashkv")[0]["HashKV"]
    assert found["hash"] == etcd_filled.hashes[etcd_filled.revision]
    assert server.ctl("put", "more", "x").returncode == 0


@pytest.mark.etcd
def test_what_is_ours_becomes_etcds_and_ours_again(
    tmp_path: Path, utl: Utl, etcdutl: Utl, launch_triode: Launch, launch_etcd: Launch
) -> None:
    """A snapshot of a node, restored by etcdutl and by us, is served by both alike."""
    source = launch_triode()
    for number in range(20):
        source.ctl("put", f"k{number % 7}", f"v{number}")
    source.ctl("del", "k3")
    snapshot = tmp_path / "ours.snap"
    assert source.ctl("snapshot", "save", str(snapshot)).returncode == 0
    hashed = utl("hashkv", snapshot, "-w", "json").json["hash"]
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    assert etcdutl("snapshot", "restore", snapshot, "--data-dir", theirs).code == 0
    assert utl("snapshot", "restore", snapshot, "--data-dir", mine).code == 0
    assert (
        etcdutl("snapshot", "status", snapshot, "-w", "json").json["hash"]
        == (utl("snapshot", "status", snapshot, "-w", "json").json["hash"])
    )
    etcd = launch_etcd("--force-new-cluster", data_dir=theirs)
    triode = launch_triode(data_dir=mine)
    for server in (etcd, triode):
        assert server.ctl("get", "k", "--prefix", "--keys-only").stdout.split() == [
            "k0", "k1", "k2", "k4", "k5", "k6"
        ]  # fmt: skip
        assert ctl_json(server, "endpoint", "hashkv")[0]["HashKV"]["hash"] == hashed


def test_watchers_of_the_past_are_told(
    restored: Path, tmp_path: Path, utl: Utl, launch_triode: Launch, rows: Any, write_snapshot: Utl
) -> None:
    """With a bumped revision nothing goes back, and whoever has seen later ones learns of it."""
    where = tmp_path / "bumped"
    words = ["--bump-revision", "1000000", "--mark-compacted", "--data-dir", where]
    assert utl("snapshot", "restore", write_snapshot(rows, "again.snap"), *words).code == 0
    assert utl("check", where).code == 0
    found = utl("metadata", where, "-w", "json").json
    assert (found["revision"], found["compact-revision"]) == (1_000_006, 1_000_006)
    server = launch_triode(data_dir=where)
    head = ctl_json(server, "get", "a")
    assert head["header"]["revision"] == 1_000_006
    assert head["kvs"][0]["mod_revision"] == 6  # the keys are as they were
    for revision in ("7", "500000", "1000005"):
        watch = server.ctl("watch", "a", "--rev", revision)
        assert "required revision has been compacted" in watch.stderr + watch.stdout, revision
    assert ctl_json(server, "put", "a", "new")["header"]["revision"] == 1_000_007
    every = server.ctl("get", "", "--prefix", "--keys-only").stdout.split()
    assert every == ["a", "b"]  # no trace of the row that bumps
    server.stop()
    assert utl("check", where).code == 0
    # and once more, from what has been bumped
    twice = tmp_path / "twice"
    copy = where / "member" / "snap" / "db.sqlite"
    words = ["--bump-revision", "10", "--mark-compacted", "--data-dir", twice, "--skip-hash-check"]
    assert utl("snapshot", "restore", copy, *words).code == 0
    assert utl("metadata", twice, "-w", "json").json["revision"] == 1_000_017
    again = launch_triode(data_dir=twice)
    assert again.ctl("get", "", "--prefix", "--keys-only").stdout.split() == ["a", "b"]
    assert ctl_json(again, "put", "a", "x")["header"]["revision"] == 1_000_018


@pytest.mark.etcd
def test_a_bumped_snapshot_is_the_same_to_etcd(
    tmp_path: Path, rows: Any, utl: Utl, etcdutl: Utl, write_snapshot: Utl, launch_triode: Launch,
    launch_etcd: Launch,
) -> None:  # fmt: skip
    """The row that bumps and its mark, read by etcd: the same revision, keys and hash."""
    where = tmp_path / "bumped"
    words = ["--bump-revision", "50", "--mark-compacted", "--data-dir", where]
    assert utl("snapshot", "restore", write_snapshot(rows), *words).code == 0
    server = launch_triode(data_dir=where)
    assert server.ctl("put", "z", "1").returncode == 0
    saved = tmp_path / "saved.snap"
    assert server.ctl("snapshot", "save", str(saved)).returncode == 0
    theirs = tmp_path / "theirs"
    assert etcdutl("snapshot", "restore", saved, "--data-dir", theirs).code == 0
    etcd = launch_etcd("--force-new-cluster", data_dir=theirs)
    for each in (server, etcd):
        assert each.ctl("get", "", "--prefix").stdout == server.ctl("get", "", "--prefix").stdout
        assert ctl_json(each, "get", "z")["kvs"][0]["mod_revision"] == 57
    hashes = {ctl_json(each, "endpoint", "hashkv")[0]["HashKV"]["hash"] for each in (server, etcd)}
    assert len(hashes) == 1


def restore_three(
    utl: Utl, snapshot: Path, folder: Path, ports: list[int], *more: str
) -> list[Path]:
    cluster = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, port in enumerate(ports))
    directories = []
    for n, port in enumerate(ports):
        directories.append(folder / f"m{n}")
        done = utl(
            "snapshot", "restore", snapshot, "--name", f"m{n}", "--data-dir", directories[-1],
            "--initial-cluster", cluster, "--initial-cluster-token", "token-1",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{port}", *more,
        )  # fmt: skip
        assert done.code == 0, done.err
    return directories


def test_ids_are_those_of_the_flags(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    ports = [12001, 12002, 12003]
    directories = restore_three(utl, write_snapshot(rows), tmp_path, ports)
    expected = [member_id([f"http://127.0.0.1:{port}"], "token-1") for port in ports]
    found = [utl("metadata", each, "-w", "json").json for each in directories]
    assert [each["member-id"] for each in found] == [f"{each:x}" for each in expected]
    assert {each["cluster-id"] for each in found} == {f"{cluster_id(expected):x}"}
    assert all(len(each["members"]) == 3 for each in found)
    assert {each["commit-index"] for each in found} == {3}
    assert {utl("backend", "hash", each, "-w", "json").json["hash"] for each in directories} != {0}
    assert (
        len({utl("backend", "hash", each, "-w", "json").json["hash"] for each in directories}) == 1
    )


@pytest.mark.etcd
def test_ids_are_etcdutls(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl, etcdutl: Utl
) -> None:
    """Three members of several URLs each."""
    cluster = "a=http://10.0.0.1:1,b=http://10.0.0.2:1,a=http://10.0.0.1:2,c=http://10.0.0.3:1"
    words = [
        "snapshot",
        "restore",
        write_snapshot(rows),
        "--name",
        "a",
        "--initial-cluster",
        cluster,
    ]
    words += [
        "--initial-advertise-peer-urls",
        "http://10.0.0.1:2,http://10.0.0.1:1",
        "--initial-cluster-token",
        "t",
    ]
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    assert utl(*words, "--data-dir", mine).code == 0
    assert etcdutl(*words, "--data-dir", theirs).code == 0
    one, other = (utl("metadata", each, "-w", "json").json for each in (mine, theirs))
    for name in ("member-id", "cluster-id", "vote", "commit-index", "members"):
        assert one[name] == other[name]
    dumps = [utl("wal", "dump", each, "-w", "json").lines for each in (mine, theirs)]
    assert dumps[0] == dumps[1]  # the logs are the same, record for record


# --- what is refused --------------------------------------------------------------------------------


def refused(done: Any, text: str, code: int = 1) -> None:
    assert done.code == code, done
    assert text in done.err


def test_a_digest_that_does_not_match(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    path = write_snapshot(rows)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    where = tmp_path / "made"
    refused(utl("snapshot", "restore", path, "--data-dir", where), "expected sha256 [")
    assert not where.exists()
    path.write_bytes(content[:-32])
    refused(
        utl("snapshot", "restore", path, "--data-dir", where),
        "snapshot missing hash but --skip-hash-check=false",
    )
    assert utl("snapshot", "restore", path, "--data-dir", where, "--skip-hash-check").code == 0


@pytest.mark.etcd
def test_refusals_are_etcdutls(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl, etcdutl: Utl
) -> None:
    """The same words and the same exit code."""
    path = write_snapshot(rows)
    bad = tmp_path / "bad.snap"
    bad.write_bytes(path.read_bytes()[:-1] + b"\0")
    bare = tmp_path / "bare"
    bare.write_bytes(path.read_bytes()[:-32])
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").touch()
    log = tmp_path / "log"
    log.mkdir()
    to = ["--data-dir", tmp_path / "to"]
    cases: list[list[object]] = [
        [bad, *to],
        [bare, *to],
        [path, "--data-dir", full],
        [path, *to, "--wal-dir", log],
        [path, *to, "--name", "other"],
        [path, *to, "--initial-cluster", "default=http://localhost:2380,b=http://localhost:2380"],
        [path, *to, "--initial-advertise-peer-urls", "http://127.0.0.9:2380"],
        [*to],
        [path, path, *to],
        [tmp_path / "nowhere", *to],
    ]
    for case in cases:
        theirs = etcdutl("snapshot", "restore", *case)
        if (tmp_path / "to").exists():  # which etcdutl leaves half made
            shutil.rmtree(tmp_path / "to")
        mine = utl("snapshot", "restore", *case)
        assert mine.code == theirs.code != 0, case
        said = [done.err[done.err.index("Error: ") + 7 :].strip() for done in (mine, theirs)]
        assert said[1].partition(" (")[0] in said[0], case  # etcd adds how names were resolved
        assert not (tmp_path / "to").exists()


def test_the_default_place_is_the_daemons(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NAME.triode, where `triode --name NAME` looks."""
    monkeypatch.chdir(tmp_path)
    words = ["--name", "m7", "--initial-cluster", "m7=http://localhost:2380"]
    assert utl("snapshot", "restore", write_snapshot(rows), *words).code == 0
    assert data_dir_of(Config(name="m7")) == Path("m7.triode")
    assert utl("metadata", "m7.triode", "-w", "json").json["name"] == "m7"


@pytest.mark.etcd
def test_members_restored_by_either_tool_are_one_cluster(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl, etcdutl: Utl, launch_triode: Launch,
    launch_etcd: Launch,
) -> None:  # fmt: skip
    """Two nodes of ours elect a leader and bring an etcd along, all restored from one file."""
    snapshot = write_snapshot(rows)
    address = f"127.{os.getpid() % 250 + 2}.{os.getpid() // 250 % 250}.77"
    ports = [23801, 23802, 23803]
    cluster = ",".join(f"m{n}=http://{address}:{port}" for n, port in enumerate(ports))
    servers = []
    for n, port in enumerate(ports):
        words = [
            "snapshot",
            "restore",
            snapshot,
            "--name",
            f"m{n}",
            "--data-dir",
            tmp_path / f"m{n}",
        ]
        words += [
            "--initial-cluster",
            cluster,
            "--initial-advertise-peer-urls",
            f"http://{address}:{port}",
        ]
        done = (etcdutl if n == 0 else utl)(*words)
        assert done.code == 0, done.err
    with ThreadPoolExecutor() as pool:  # none gets ready before there is a quorum
        flags = [
            ("--name", f"m{n}", "--listen-peer-urls", f"http://{address}:{p}")
            for n, p in enumerate(ports)
        ]
        starts = [
            pool.submit(
                launch_etcd, *flags[0], "--initial-cluster", cluster, data_dir=tmp_path / "m0"
            )
        ]
        starts += [
            pool.submit(launch_triode, *flags[n], data_dir=tmp_path / f"m{n}") for n in (1, 2)
        ]
        servers = [each.result() for each in starts]
    assert servers[1].ctl("put", "after", "all").returncode == 0
    assert [server.ctl("get", "after").stdout for server in servers] == ["after\nall\n"] * 3
    hashes = {
        ctl_json(server, "endpoint", "hashkv", "--rev", "7")[0]["HashKV"]["hash"]
        for server in servers
    }
    assert len(hashes) == 1
    names = [member["name"] for member in ctl_json(servers[0], "member", "list")["members"]]
    assert sorted(names) == ["m0", "m1", "m2"]


def test_bump_and_mark_belong_together(restored: Path, utl: Utl) -> None:
    for words in (["--bump-revision", "5"], ["--mark-compacted"]):
        refused(utl("snapshot", "restore", "x", *words), "--mark-compacted required", 128)


def test_a_revision_that_is_too_large(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    words = [
        "--bump-revision",
        str((1 << 63) - 3),
        "--mark-compacted",
        "--data-dir",
        tmp_path / "to",
    ]
    refused(utl("snapshot", "restore", write_snapshot(rows), *words), "more than a revision can be")
    assert not (tmp_path / "to").exists()


def test_an_empty_directory_and_a_log_of_its_own(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl, launch_triode: Launch
) -> None:
    """As a mounted volume is; the daemon takes both places."""
    where, log = tmp_path / "volume", tmp_path / "fast" / "log"
    where.mkdir()
    words = ["--data-dir", where, "--wal-dir", log, "--initial-memory-map-size", "1000000"]
    assert utl("snapshot", "restore", write_snapshot(rows), *words).code == 0
    assert utl("check", where, "--wal-dir", log).code == 0
    server = launch_triode("--wal-dir", str(log), data_dir=where)
    assert server.ctl("get", "b").stdout == "b\nvalue 4\n"
    refused(utl("check", where, "--wal-dir", log, "--timeout", "50ms"), "is in use")


@pytest.mark.parametrize("log", ["member/wal", "member/fast/log", "log"])
def test_a_log_below_the_data_directory(
    log: str, rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    """As etcdutl takes it: the default place, too, may be named."""
    where = tmp_path / "to"
    words = ["--data-dir", where, "--wal-dir", where / log]
    done = utl("snapshot", "restore", write_snapshot(rows), *words)
    assert done.code == 0, done.err
    assert utl("check", where, "--wal-dir", where / log).code == 0
    assert sorted(path.name for path in where.iterdir() if path.name != "log") == [
        ".lock",
        "member",
    ]


@pytest.mark.parametrize("log", ["member", "member/snap", "."])
def test_a_place_that_a_log_cannot_have(
    log: str, rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    where = tmp_path / "to"
    words = ["--data-dir", where, "--wal-dir", where / log]
    refused(utl("snapshot", "restore", write_snapshot(rows), *words), "it is not empty")
    assert not where.exists()


def test_alarms_and_users_come_along_and_are_named(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    rows["alarm"] = {b"\x08\x05\x10\x01": b""}
    rows["auth"] = {b"authEnabled": b"\1"}
    done = utl("snapshot", "restore", write_snapshot(rows), "--data-dir", tmp_path / "to")
    assert done.code == 0
    assert "the snapshot carries an alarm" in done.err
    assert '"NOSPACE"' in done.err
    assert "authentication is enabled" in done.err


def test_the_hint_of_the_revision(
    restored: Path, utl: Utl, write_snapshot: Utl, rows: Any, tmp_path: Path
) -> None:
    """Without a bump, the operator is told what that means."""
    done = utl("snapshot", "restore", write_snapshot(rows), "--data-dir", tmp_path / "to")
    assert "--bump-revision" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_restore_leaves_nothing(
    number: signal.Signals, rows: Any, write_snapshot: Utl, tmp_path: Path
) -> None:
    """The signal comes when the database is there and the log is not."""
    where = tmp_path / "to"
    program = (
        "import os, sys, signal\n"
        "from triode.cli.utl import main, restore\n"
        f"restore._build_log = lambda *_: os.kill(os.getpid(), {int(number)})\n"
        "main.main()\n"
    )
    words = ["snapshot", "restore", str(write_snapshot(rows)), "--data-dir", str(where)]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -signal.SIGINT
    assert "Traceback" not in done.stderr
    assert not where.exists()
