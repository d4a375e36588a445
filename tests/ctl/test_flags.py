"""pflag's grammar, as a table of what it makes of command lines."""

from __future__ import annotations

from typing import Any

import pytest

from triode.cli.common.flags import Flag, FlagError, FlagValues, parse

FLAGS = (
    Flag.switch("prefix", "a switch", short="p"),
    Flag.switch("on", "a switch that is on", default=True),
    Flag.text("write-out", "a text", default="simple", short="w"),
    Flag.number("limit", "a number", short="l"),
    Flag.seconds("timeout", "a time", default=5.0),
    Flag.texts("endpoints", "a list", default=("here",)),
    Flag.unsigned("size", "a size"),
)


@pytest.mark.parametrize(
    ("line", "plain", "values"),
    [
        ("a b", "a b", {}),
        ("--prefix a", "a", {"prefix": True}),
        ("a --prefix", "a", {"prefix": True}),
        ("--prefix=true", "", {"prefix": True}),
        ("--prefix=F --on=0", "", {"prefix": False, "on": False}),
        ("--prefix false", "false", {"prefix": True}),
        ("--limit 5 a", "a", {"limit": 5}),
        ("--limit=-5", "", {"limit": -5}),
        ("--limit -5", "", {"limit": -5}),
        ("--limit 0x10", "", {"limit": 16}),
        ("--limit 1 --limit 2", "", {"limit": 2}),
        ("-w json", "", {"write-out": "json"}),
        ("-wjson", "", {"write-out": "json"}),
        ("-w=json", "", {"write-out": "json"}),
        ("-w =", "", {"write-out": "="}),
        ("-w=", "", {"write-out": "="}),
        ("-w --prefix", "", {"write-out": "--prefix"}),
        ("-pw json", "", {"prefix": True, "write-out": "json"}),
        ("-pwjson", "", {"prefix": True, "write-out": "json"}),
        ("-p=false", "", {"prefix": False}),
        ("--write-out= a", "a", {"write-out": ""}),
        ("--write-out=a=b", "", {"write-out": "a=b"}),
        ("--timeout 1m", "", {"timeout": 60.0}),
        ("--endpoints a,b", "", {"endpoints": ("a", "b")}),
        ("--endpoints a --endpoints b,c", "", {"endpoints": ("a", "b", "c")}),
        ('--endpoints "a,b",c', "", {"endpoints": ("a,b", "c")}),
        ("--endpoints=", "", {"endpoints": ()}),
        ("--size 7", "", {"size": 7}),
        ("-", "-", {}),
        ("a -- --prefix -x", "a --prefix -x", {"prefix": False}),
        ("--limit -- a", None, 'invalid argument "--" for "-l, --limit" flag: strconv.ParseInt: parsing "--": invalid syntax'),
        ("--foo", None, "unknown flag: --foo"),
        ("--foo=1", None, "unknown flag: --foo"),
        ("--pre", None, "unknown flag: --pre"),
        ("-x", None, "unknown shorthand flag: 'x' in -x"),
        ("-px", None, "unknown shorthand flag: 'x' in -x"),
        ("--limit", None, "flag needs an argument: --limit"),
        ("-w", None, "flag needs an argument: 'w' in -w"),
        ("-pw", None, "flag needs an argument: 'w' in -w"),
        ("---", None, "bad flag syntax: ---"),
        ("--=x", None, "bad flag syntax: --=x"),
        ("--limit=", None, 'invalid argument "" for "-l, --limit" flag: strconv.ParseInt: parsing "": invalid syntax'),
        ("--prefix=maybe", None, 'invalid argument "maybe" for "-p, --prefix" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("--timeout 5", None, 'invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"'),
        ("--size -1", None, 'invalid argument "-1" for "--size" flag: strconv.ParseUint: parsing "-1": invalid syntax'),
    ],
)  # fmt: skip
def test_a_command_line(line: str, plain: str | None, values: Any) -> None:
    """Words of a line are separated by single spaces."""
    given = FlagValues(FLAGS)
    if plain is None:
        with pytest.raises(FlagError) as caught:
            parse(given, line.split(" "))
        assert str(caught.value) == values
        return
    rest, _ = parse(given, line.split(" "))
    assert " ".join(rest) == plain
    assert {name: given.value(name) for name in values} == values
    unset = {flag.name for flag in FLAGS} - {name for name in values if given.changed(name)}
    assert all(given.value(name) == given.flags[name].default for name in unset)


def test_where_the_flags_end_is_known() -> None:
    assert parse(FlagValues(FLAGS), ["a", "--", "b", "--", "c"]) == (["a", "b", "--", "c"], 1)
    assert parse(FlagValues(FLAGS), ["a"]) == (["a"], None)


def test_defaults_are_shown_as_go_shows_them() -> None:
    shown = {flag.name: flag.default_text() for flag in FLAGS}
    assert shown == {
        "prefix": "false",
        "on": "true",
        "write-out": '"simple"',
        "limit": "0",
        "timeout": "5s",
        "endpoints": "[here]",
        "size": "0",
    }
