"""`tree`, against servers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from triode.cli.ctl.commands import tree

ON_TRIODE = pytest.mark.parametrize("server", ["triode"], indirect=True)


@pytest.fixture(autouse=True)
def _keys(ctl: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some keys, and pages so small that there are many of them."""
    monkeypatch.setattr(tree, "PAGE_KEYS", 2)
    monkeypatch.setattr(tree, "PAGE_KEYS_WITH_VALUES", 2)
    for key in ("t/a", "t/b/1", "t/b/2", "t/b/3/x", "t/c/\udcff"):
        assert ctl("put", key, f"of {key}").code == 0
    yield
    ctl("del", "--prefix", "t/")


def drawn(done: Any) -> str:
    """Without the last line, which has the revision."""
    assert done.code == 0, done.err
    lines = done.lines
    assert lines[-1].partition(", revision ")[2].isdigit()
    assert lines[-2] == ""
    return "\n".join(lines[:-2])


def test_all_of_it(ctl: Callable[..., Any]) -> None:
    assert drawn(ctl("tree", "t/")) == (
        "t/ (5 keys)\n"
        "├── a\n"
        "├── b/ (3 keys)\n"
        "│   ├── 1\n"
        "│   ├── 2\n"
        "│   └── 3/ (1 key)\n"
        "│       └── x\n"
        "└── c/ (1 key)\n"
        "    └── \\xff"
    )


@ON_TRIODE
def test_less_of_it(ctl: Callable[..., Any]) -> None:
    assert drawn(ctl("tree", "t/", "--depth=1")) == (
        "t/ (5 keys)\n├── a\n├── b/ (3 keys)\n└── c/ (1 key)"
    )
    assert drawn(ctl("tree", "t/b", "-L", "1", "--limit=2")) == "t/ (3 keys)\n└── b/ (3 keys)"
    assert drawn(ctl("tree", "t/b/", "--limit=1")) == "t/b/ (3 keys)\n├── 1\n└── … 2 more"


def test_values(ctl: Callable[..., Any]) -> None:
    assert "├── a = of t/a\n" in drawn(ctl("tree", "t/", "--values"))


def test_as_it_was(ctl: Callable[..., Any]) -> None:
    revision = ctl("tree", "t/").lines[-1].rpartition(" ")[2]
    ctl("del", "t/a")
    assert "├── a\n" in drawn(ctl("tree", "t/", "--rev", revision))
    assert "├── a\n" not in drawn(ctl("tree", "t/"))


@ON_TRIODE
def test_another_delimiter(ctl: Callable[..., Any]) -> None:
    ctl("put", "t:x:1", "")
    assert drawn(ctl("tree", "t:", "--delimiter=:")) == "t: (1 key)\n└── x: (1 key)\n    └── 1"
    ctl("del", "t:x:1")


@ON_TRIODE
def test_json(ctl: Callable[..., Any]) -> None:
    def name(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    found = json.loads(ctl("tree", "t/", "--depth=1", "-w", "json").out)
    assert found["name"] == name("t/")
    assert [(one["name"], one["keys"]) for one in found["children"]] == [
        (name("a"), 1),
        (name("b"), 3),
        (name("c"), 1),
    ]
    with_values = json.loads(ctl("tree", "t/", "--values", "-w", "json").out)
    assert with_values["children"][0]["value"] == name("of t/a")


@ON_TRIODE
def test_nothing(ctl: Callable[..., Any]) -> None:
    done = ctl("tree", "nothing/")
    assert done.code == 0
    assert done.lines[0] == "nothing/ (0 keys)"


@ON_TRIODE
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("a", "b"), 128), (("--delimiter=",), 128), (("-w", "table"), 4), (("--rev=99999999",), 1)],
)
def test_wrong(ctl: Callable[..., Any], arguments: tuple[str, ...], code: int) -> None:
    done = ctl("tree", *arguments)
    assert done.code == code
    assert done.error.startswith("Error: ")


@ON_TRIODE
def test_colours_on_a_terminal(server: Any, terminal: Callable[..., Any]) -> None:
    screen = terminal("--endpoints", server.address, "tree", "t/", colours=True)
    screen.until("\x1b\\[34mt/\x1b\\[0m")
    assert screen.end()[0] == 0
    screen = terminal("--endpoints", server.address, "tree", "t/", "--no-color", colours=True)
    screen.until(r"t/ \(5 keys\)")
    code, rest = screen.end()
    assert code == 0
    assert "\x1b" not in rest


@ON_TRIODE
def test_a_key_cannot_write_to_the_terminal(ctl: Callable[..., Any]) -> None:
    ctl("put", "t/\x1b]0;title\x07", "")
    shown = ctl("tree", "t/").out
    assert "\x1b" not in shown
    assert r"\x1b]0;title\x07" in shown
