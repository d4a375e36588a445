"""docs/rpc-api.md names everything that can be called and everything that can be answered."""

from __future__ import annotations

from pathlib import Path

import pytest

import triode
from triode import errors
from triode.rpc.gateway import HTTP_STATUS
from triode.rpc.json_text import JSON_DEPTH_MAX
from triode.rpc.methods import METHODS
from triode.rpc.pages import LIVEZ, READYZ

TEXT = (Path(triode.__file__).resolve().parent / "docs/rpc-api.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|")
]
BY_NAME = {row[0].strip("`"): row for row in ROWS}
ABSTRACT = {errors.TriodeError, errors.NodeError, errors.EtcdError}
CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.TriodeError) and each not in ABSTRACT
]


@pytest.mark.parametrize("path", METHODS)
def test_rpcs(path: str) -> None:
    method, row = METHODS[path], BY_NAME[path]
    assert row[2] == (", ".join(f"`{rest}`" for rest in method.rest_paths) or "-")
    assert method.unary == (row[1] == "unary")


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_errors(error: type[errors.TriodeError]) -> None:
    row = BY_NAME[error.__name__]
    assert row[-1].endswith(".")
    if issubclass(error, errors.EtcdError):
        name = error.code.name.title().replace("_", "")
        expected = [f"{name} ({error.code:d})", str(HTTP_STATUS[error.code]), f"`{error.text}`"]
        assert row[1:4] == expected


def test_nothing_is_documented_that_is_gone() -> None:
    names = {name for name in BY_NAME if name.startswith("/etcdserverpb.")}
    assert names <= METHODS.keys()
    documented = {name for name, row in BY_NAME.items() if len(row) == 5}
    assert documented <= {error.__name__ for error in CLASSES} | {"Class", "---"}


def test_checks_and_limits() -> None:
    for names in (LIVEZ, READYZ):
        assert ", ".join(f"`{name}`" for name in names) in TEXT
    assert f"nest {JSON_DEPTH_MAX} deep" in TEXT
