"""Files for etcd's own validator, field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from triode.testing.checkers import (
    Event,
    History,
    Inexpressible,
    Operation,
    Watch,
    WatchRequest,
    WatchResponse,
    save_report,
)
from triode.testing.checkers import requests as r

KV = r.KeyValue(b"a", 2, 3, 2, b"x" * 20)


def saved(folder: Path, history: History, name: str, client: int = 1) -> list[Any]:
    save_report(history, folder)
    return [
        json.loads(line)
        for line in (folder / f"client-{client}" / name).read_text().split("\n")[:-1]
    ]


def test_operations(tmp_path: Path) -> None:
    """In the order of their calls; what is unknown has an error and no revision."""
    swap = r.Txn((r.Compare(b"a", r.MOD, r.EQUAL, 2),), (r.Put(b"a", b"2", 7),), (r.Range(b"a"),))
    history = History(
        [
            Operation(1, swap, 5, 6, r.TxnDone(True, (r.PutDone(),)), 3),
            Operation(1, r.Put(b"a", b"1"), 3, 4, r.PutDone(), 2),
            Operation(1, r.Range(b"a", b"b"), 7, 8, r.Got((KV,), 1), 3),
            Operation(1, r.Range(b"a", serializable=True), 9, 10, r.Got(), 3),
            Operation(1, r.Range(b"\0", b"\0"), 11, 12, r.Got(), 3),
            Operation(1, r.Delete(b"a"), 13, None, error="lost"),
        ]
    )
    rows = saved(tmp_path, history, "operations.json")
    assert [row["Call"] for row in rows] == [3, 5, 7, 13]
    assert rows[1]["Input"]["Txn"] == {
        "Conditions": [{"Key": "a", "ExpectedRevision": 2}],
        "OperationsOnSuccess": [
            {"Type": "put-operation", "Put": {"Key": "a", "Value": {"Value": "2"}, "LeaseID": 7}}
        ],
        "OperationsOnFailure": [
            {
                "Type": "range-operation",
                "Range": {"Start": "a", "End": "", "Limit": 0, "KeysOnly": False},
            }
        ],
    }
    assert rows[1]["Output"] == {"Txn": {"Failure": False, "Results": [{}]}, "Revision": 3}
    shown = rows[2]["Output"]["Range"]["KVs"][0]
    assert shown["ModRevision"] == 3
    assert set(shown["Value"]) == {"Hash"}
    assert rows[3]["Output"] == {"Error": "lost"}


@pytest.mark.parametrize(
    "request_",
    [r.Delete(b"a", b"b"), r.Txn((r.Compare(b"a", r.VALUE, r.EQUAL, b""),), (r.Put(b"a"),))],
)
def test_writes_that_etcds_model_does_not_know(tmp_path: Path, request_: Any) -> None:
    """Without them the history would be wrong, so it is not written."""
    with pytest.raises(Inexpressible):
        save_report(History([Operation(1, request_, 1, 2, r.TxnDone(True), 2)]), tmp_path)


def test_watches(tmp_path: Path) -> None:
    """With what was before, and without the response that says "created"."""
    watch = Watch(4, WatchRequest(b"a", b"b", 2, prev_kv=True), 1)
    before = r.KeyValue(b"a", 2, 2, 1, b"1")
    watch.responses += [
        WatchResponse(2, 1, created=True),
        WatchResponse(3, 3, (Event(False, KV, before),)),
        WatchResponse(4, 3, progress=True),
    ]
    (row,) = saved(tmp_path, History([], [watch]), "watch.json", 4)
    assert row["Request"] == {
        "Key": "a",
        "Revision": 2,
        "WithPrefix": True,
        "WithProgressNotify": False,
        "WithPrevKV": True,
    }
    first, note = row["Responses"]
    assert first["Events"][0]["PrevValue"] == {
        "Value": {"Value": "1"},
        "ModRevision": 2,
        "Version": 1,
    }
    assert (note["IsProgressNotify"], note["Revision"], note["Events"]) == (True, 3, [])
