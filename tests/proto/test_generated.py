"""The generated classes: current, private to Triode, and etcd's on the wire."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

import triode
from triode.rpc.pb import kv_pb2, raft_internal_pb2, raft_pb2, rpc_pb2
from triode.rpc.pb._pool import POOL
from triode.rpc.proto import generate

ROOT = Path(triode.__file__).resolve().parent
MODULES = sorted(path.stem for path in (ROOT / "rpc/pb").glob("*_pb2.py"))


def test_the_committed_code_is_what_the_interface_files_say() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "rpc/proto/generate.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert (run.stdout + run.stderr, run.returncode) == ("", 0)


def test_check_names_what_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (ROOT / "rpc/pb").glob("*_pb2.py*"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "kv_pb2.py").write_text("changed")
    (tmp_path / "rpc_pb2.pyi").unlink()
    (tmp_path / "left_over_pb2.py").write_text("")
    monkeypatch.setattr(generate, "PB", tmp_path)
    assert generate.stale(generate.generate()) == ["kv_pb2.py", "left_over_pb2.py", "rpc_pb2.pyi"]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_enters_the_pool_that_other_libraries_share(module: str) -> None:
    file = importlib.import_module(f"triode.rpc.pb.{module}").DESCRIPTOR
    shared = descriptor_pool.Default()
    assert file.pool is POOL
    with pytest.raises(KeyError):
        shared.FindFileByName(file.name)
    for name in file.message_types_by_name:
        with pytest.raises(KeyError):
            shared.FindMessageTypeByName(f"{file.package}.{name}")


def test_another_client_may_define_the_same_names_differently() -> None:
    foreign = descriptor_pb2.FileDescriptorProto(
        name="rpc.proto", package="etcdserverpb", syntax="proto3"
    )
    field = foreign.message_type.add(name="PutRequest").field.add(name="key", number=1)
    field.type = field.TYPE_STRING
    field.label = field.LABEL_OPTIONAL
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(foreign.SerializeToString())
    theirs: Any = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("etcdserverpb.PutRequest")
    )
    ours = rpc_pb2.PutRequest
    assert theirs is not ours
    assert theirs(key="a").SerializeToString() == ours(key=b"a").SerializeToString()
    assert theirs(key="a").key == "a"
    assert ours(key=b"a").key == b"a"


def test_messages_survive_pickle_and_share_their_types_across_modules() -> None:
    put = rpc_pb2.PutRequest(key=b"k", value=b"v")
    assert pickle.loads(pickle.dumps(put)) == put
    entry = raft_internal_pb2.InternalRaftRequest(put=put)
    assert type(entry.put) is rpc_pb2.PutRequest
    assert rpc_pb2.RangeRequest.SortOrder.Value("DESCEND") == rpc_pb2.RangeRequest.DESCEND == 2
    assert rpc_pb2.CORRUPT == 2


# By hand from the field numbers of etcd's interface files.
GOLDEN = [
    (
        kv_pb2.KeyValue(key=b"foo", create_revision=2, mod_revision=3, version=2, value=b"bar"),
        "0a03666f6f1002180320022a03626172",
    ),
    (rpc_pb2.LeaseGrantRequest(TTL=-1, ID=7), "08ffffffffffffffffff011007"),
    (
        raft_internal_pb2.InternalRaftRequest(
            header=raft_internal_pb2.RequestHeader(ID=1), put=rpc_pb2.PutRequest(key=b"a")
        ),
        "22030a0161a206020801",
    ),
    (raft_pb2.Entry(Type=0, Term=2, Index=4, Data=b"x"), "080010021804220178"),
    (rpc_pb2.Compare(key=b"k", version=0), "1a016b2000"),  # a oneof keeps its zero
]


@pytest.mark.parametrize(("message", "expected"), GOLDEN, ids=lambda value: type(value).__name__)
def test_wire_bytes(message: Message, expected: str) -> None:
    assert message.SerializeToString(deterministic=True).hex() == expected
    assert type(message).FromString(bytes.fromhex(expected)) == message
