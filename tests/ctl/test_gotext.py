"""Texts and numbers as Go writes and reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.cli.common.gocsv import read_record
from triode.cli.common.gonumbers import (
    duration_text,
    parse_bool,
    parse_duration,
    parse_int,
    parse_uint,
)
from triode.cli.common.goquote import as_bytes, quote, unquote_prefix
from triode.cli.common.sizes import human_size
from triode.cli.common.table import box
from triode.cli.common.tabs import align


@pytest.mark.parametrize(
    ("data", "quoted"),
    [
        (b"", '""'),
        (b"plain text", '"plain text"'),
        (b'a"b\\c', r'"a\"b\\c"'),
        (b"\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        (b"\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        ("äöü 世界 🎉".encode(), '"äöü 世界 🎉"'),
        (b"\xff\xfe", r'"\xff\xfe"'),
        (b"a\xc3", r'"a\xc3"'),
        ("\u200b\u2028\ufeff".encode(), r'"\u200b\u2028\ufeff"'),
        ("\u00a0\u3000".encode(), r'"\u00a0\u3000"'),
        ("\U000e0001".encode(), r'"\U000e0001"'),
        (b"'`", '"\'`"'),
    ],
)
def test_quote(data: bytes, quoted: str) -> None:
    assert quote(data) == quoted


@given(st.binary())
def test_what_is_quoted_can_be_read(data: bytes) -> None:
    text, rest = unquote_prefix(quote(data) + " rest")
    assert (as_bytes(text), rest) == (data, " rest")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('`a\\n"`', b'a\\n"'),
        (r'"\101\x41A\U00000041"', b"AAAA"),
        (r'"\377"', b"\xff"),
        (r'"é"', "é".encode()),
        (r'"\'"', None),
        (r'"\q"', None),
        (r'"\400"', None),
        (r'"\ud800"', None),
        (r'"\x4"', None),
        ('"open', None),
        ("bare", None),
        ("`open", None),
        ('"', None),
        ("", None),
    ],
)
def test_unquote(text: str, data: bytes | None) -> None:
    if data is None:
        with pytest.raises(ValueError):
            unquote_prefix(text)
    else:
        assert as_bytes(unquote_prefix(text)[0]) == data


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5s", 5),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("2.s", 2),
        ("-3ms", -0.003),
        ("+1us", 1e-6),
        ("1µs2ns", 1.002e-6),
        ("1m0.25s", 60.25),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", 'time: invalid duration ""'),
        ("s", 'time: invalid duration "s"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1s5", 'time: missing unit in duration "1s5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
    ],
)
def test_wrong_durations(text: str, wrong: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == wrong


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (2, "2s"),
        (0.0015, "1.5ms"),
        (1e-9, "1ns"),
        (1.5e-6, "1.5µs"),
        (60, "1m0s"),
        (5400.25, "1h30m0.25s"),
        (-0.5, "-500ms"),
    ],
)
def test_durations_are_shown(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [
        ("12", 10, 12),
        ("-12", 10, -12),
        ("+7", 10, 7),
        ("ff", 16, 255),
        ("0x1F", 0, 31),
        ("0b101", 0, 5),
        ("0o17", 0, 15),
        ("017", 0, 15),
        ("1_000", 0, 1000),
        ("-9223372036854775808", 10, -(2**63)),
    ],
)
def test_integers(text: str, base: int, number: int) -> None:
    assert parse_int(text, base) == number


@pytest.mark.parametrize("text", ["", "x", "1x", " 1", "1 ", "--1", "0x", "1__0", "_1", "1_", "08"])
def test_no_integers(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_int(text, 0)
    assert str(caught.value) == f'strconv.ParseInt: parsing "{text}": invalid syntax'


def test_numbers_out_of_range() -> None:
    for parse, text in ((parse_int, str(2**63)), (parse_int, str(-(2**63) - 1))):
        with pytest.raises(ValueError, match=r"^strconv.ParseInt: .*: value out of range$"):
            parse(text)
    with pytest.raises(ValueError, match=r"^strconv.ParseUint: .*: value out of range$"):
        parse_uint(str(2**64))
    with pytest.raises(ValueError, match=r'^strconv.ParseUint: parsing "-1": invalid syntax$'):
        parse_uint("-1")


def test_booleans() -> None:
    assert [parse_bool(text) for text in ("1", "t", "T", "true", "TRUE", "True")] == [True] * 6
    assert [parse_bool(text) for text in ("0", "f", "F", "false", "FALSE", "False")] == [False] * 6
    for text in ("", "yes", "tRUE", "2"):
        with pytest.raises(ValueError, match=r"^strconv\.ParseBool"):
            parse_bool(text)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("a,b", ("a", "b")),
        ('"a,b",c', ("a,b", "c")),
        ('a,"b ""c"""', ("a", 'b "c"')),
        ("a,,", ("a", "", "")),
        ('"",x', ("", "x")),
    ],
)
def test_lists(line: str, fields: tuple[str, ...]) -> None:
    assert read_record(line) == fields


@pytest.mark.parametrize("line", ['a,"b', 'a,b"c', '"a"b,c'])
def test_no_lists(line: str) -> None:
    with pytest.raises(ValueError, match="parse error on line"):
        read_record(line)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (9, "9 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (20480, "20 kB"),
        (1_500_000, "1.5 MB"),
        (999_949, "1000 kB"),
        (2 * 2**30, "2.1 GB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text


def test_columns_end_at_tab_stops() -> None:
    assert align("a\tb\nlonger than\tc") == "a\t\tb\nlonger than\tc"
    assert align("12345678\tb\nx\tc") == "12345678\tb\nx\t\tc"
    assert align("a\tb\n\nlonger than\tc") == "a\tb\n\nlonger than\tc"
    assert align("a\tbb\tc\nd\te\tf") == "a\tbb\tc\nd\te\tf"


def test_tables() -> None:
    assert box(("ID", "is_leader"), [("8e9e", "true")]).splitlines() == [
        "+------+-----------+",
        "|  ID  | IS LEADER |",
        "+------+-----------+",
        "| 8e9e |      true |",
        "+------+-----------+",
    ]


def test_tables_wrap_long_cells() -> None:
    """At words, in the least ragged lines; a long word stays whole."""
    rows = box(("a", "b"), [("one two three four five six seven eight nine", "x" * 40)])
    assert [line.split("|")[1].strip() for line in rows.splitlines()[3:-1]] == [
        "one two three four five six",
        "seven eight nine",
    ]
