"""Standard streams that are closed, full, endless or of bytes, and values that are too large."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from triode.client.sync import connect_sync
from triode.rpc.pb.rpc_pb2 import PutRequest, RequestOp, TxnRequest

KEYS = 20_000
PAGE = 2_000
BYTES = bytes(range(256))


@pytest.fixture(scope="module")
def many(server: Any) -> str:
    """The prefix of many keys."""
    with connect_sync(server.address) as client:
        for start in range(0, KEYS, 100):
            puts = [
                RequestOp(request_put=PutRequest(key=b"many/%06d" % number, value=b"v" * 100))
                for number in range(start, start + 100)
            ]
            client.call("KV/Txn", TxnRequest(success=puts))
    return "many/"


@pytest.fixture
def on(tools: Any, triodectl: Any, server: Any, tmp_path: Path) -> Callable[..., tuple[int, bytes]]:
    """`on(words, stdin=..., stdout=..., closed=...)`: on these descriptors; the exit code, and what comes by stderr."""

    def run_on(
        *words: str,
        stdin: int | None = None,
        stdout: int | None = None,
        closed: tuple[int, ...] = (),
        tool: Any = None,
    ) -> tuple[int, bytes]:
        with Path(os.devnull).open("r+b") as null, (tmp_path / "stderr").open("w+b") as errors:
            streams = (
                null.fileno() if stdin is None else stdin,
                null.fileno() if stdout is None else stdout,
                errors.fileno(),
            )
            line = ["--endpoints", server.address, *words]
            process = (tool or triodectl).start(
                line, environment=tools.ENVIRONMENT, folder=tmp_path, streams=streams, closed=closed
            )
            try:
                code = process.wait(30)
            finally:
                process.kill()
            errors.seek(0)
            said = errors.read()
        assert b"Traceback" not in said, said
        return code, said

    return run_on


@pytest.fixture
def full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def nobody_reads() -> Iterator[int]:
    """A pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_the_first_lines_of_many(
    tools: Any, triodectl: Any, server: Any, many: str, tmp_path: Path
) -> None:
    """`| head -1`: no word about it, and the end that a shell expects: SIGPIPE."""
    process = triodectl.start(
        ["--endpoints", server.address, "get", "--prefix", many],
        environment=tools.ENVIRONMENT,
        folder=tmp_path,
    )
    try:
        assert process.stdout.readline() == b"many/000000\n"
        process.stdout.close()
        assert process.wait(30) == -13
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.stdin.close()
        process.stderr.close()


def test_as_a_shell_does_it(server: Any, many: str, tools: Any) -> None:
    """With the installed program."""
    script = '"$0" --endpoints "$1" get --prefix "$2" --keys-only | head -1; echo ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", script, str(tools.TRIODECTL.path), server.address, many],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == b"many/000000\n141\n"
    assert done.stderr == b""


@pytest.mark.parametrize(
    "words",
    [
        ("get", "a"),
        ("member", "list"),
        ("get", "--help"),
        ("version",),
        ("lease", "list"),
        ("watch", "--rev=1", "a"),
    ],
    ids=" ".join,
)
def test_nobody_reads(on: Callable[..., Any], nobody_reads: int, words: tuple[str, ...]) -> None:
    assert on("put", "a", "1") == (0, b"")
    assert on(*words, stdout=nobody_reads) == (-13, b"")


@pytest.mark.parametrize(
    "words",
    [
        ("get", "a"),
        ("member", "list", "-w", "table"),
        ("get", "--help"),
        ("version",),
        ("watch", "--rev=1", "a"),
    ],
    ids=" ".join,
)
def test_a_full_disk(on: Callable[..., Any], full: int, words: tuple[str, ...]) -> None:
    """Output that could not be written is not a success."""
    assert on("put", "a", "1") == (0, b"")
    code, said = on(*words, stdout=full)
    assert code == 6
    assert re.fullmatch(rb"Error: .*no space left on device\n", said)


@pytest.mark.etcd
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize(
    "words", [("get", "a"), ("version",), ("put", "b", "1"), ("get",)], ids=" ".join
)
def test_streams_that_are_closed(
    on: Callable[..., Any], tools: Any, words: tuple[str, ...], closed: tuple[int, ...]
) -> None:
    """`<&- >&- 2>&-` is as if they were /dev/null, for etcdctl, too."""
    code, said = on(*words, closed=closed)
    assert (code, said) == on(*words, closed=closed, tool=tools.ETCDCTL)


@pytest.mark.parametrize("words", [("txn",), ("put", "closed"), ("watch", "-i")], ids=" ".join)
def test_no_standard_input_where_it_is_wanted(
    on: Callable[..., Any], tools: Any, words: tuple[str, ...]
) -> None:
    code, said = on(*words, closed=(0,))
    ended = {"txn": (3, b"Error: EOF\n"), "put": on(*words, closed=(0,), tool=tools.ETCDCTL)}
    assert (code, said) == ended.get(
        words[0], (3, b"Error: error reading watch request line: EOF\n")
    )


@pytest.mark.parametrize("words", [("get", "a"), ("put", "b", "1")], ids=" ".join)
def test_streams_that_are_closed_as_a_process(
    on: Callable[..., Any], tools: Any, words: tuple[str, ...]
) -> None:
    """The first descriptors that a program opens are those of its missing streams."""
    assert on(*words, closed=(0, 1, 2), tool=tools.TRIODECTL) == (0, b"")


def test_errors_that_nobody_hears(on: Callable[..., Any]) -> None:
    code, _ = on("get", closed=(2,))
    assert code == 128


def test_every_byte(run: Callable[..., Any], server: Any, tmp_path: Path) -> None:
    """As a value by a pipe, and out again; as a key on a command line, but for 0."""
    endpoint = ("--endpoints", server.address)
    assert run(*endpoint, "put", "bytes", stdin=BYTES).code == 0
    assert run(*endpoint, "get", "bytes", "--print-value-only").stdout == BYTES + b"\n"
    key = BYTES[1:]
    assert run(*endpoint, "put", "--", key, key).code == 0
    assert run(*endpoint, "get", "--", key).stdout == key + b"\n" + key + b"\n"
    assert run(*endpoint, "del", "--", key).stdout == b"1\n"


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "xx_YY.nonsense"])
@pytest.mark.parametrize("key", ["ключ".encode(), b"\xff\x80", "日本 😀".encode()])
def test_any_locale(run: Callable[..., Any], server: Any, locale: str, key: bytes) -> None:
    """Keys are bytes, whatever the locale makes of them."""
    more = {"LC_ALL": locale, "LANG": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    endpoint = ("--endpoints", server.address)
    assert run(*endpoint, "put", key, key, **more).code == 0
    assert run(*endpoint, "get", key, **more).stdout == key + b"\n" + key + b"\n"
    wrong = run(*endpoint, "get", key, b"--" + key, **more)
    assert wrong.code == 1
    assert b"--" + key in wrong.stderr or b"--" in wrong.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_any_locale_as_a_process(
    tools: Any, run: Callable[..., Any], server: Any, locale: str
) -> None:
    """The interpreter decodes the command line before anything of ours runs."""
    key = "ключ".encode() + b"\xff"
    more = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    endpoint = ("--endpoints", server.address)
    for words in (("put", key, key), ("get", key)):
        done = run(*endpoint, *words, tool=tools.TRIODECTL, **more)
        assert (done.code, done.stderr) == (0, b"")
    assert done.stdout == key + b"\n" + key + b"\n"


@pytest.mark.etcd
def test_large_values(
    run: Callable[..., Any], server: Any, tools: Any, said: Callable[..., Any]
) -> None:
    """Both tools are refused the same way: by the server, and above 2 MiB by themselves."""
    endpoint = ("--endpoints", server.address)
    for size in (1_400_000, 1_600_000, 3_000_000):
        ours = said(run(*endpoint, "put", "large", stdin=b"x" * size))
        theirs = said(run(*endpoint, "put", "large", stdin=b"x" * size, tool=tools.ETCDCTL))
        assert ours == theirs
        assert (ours[2] == 0) == (size < 1_500_000)
    found = run(*endpoint, "get", "large", "--print-value-only")
    assert found.stdout == b"x" * 1_400_000 + b"\n"
    more = run("--max-request-bytes=4000000", *endpoint, "put", "large", stdin=b"x" * 3_000_000)
    assert more.code == 1
    assert b"larger than max" in more.stderr
    less = run("--max-recv-bytes=1000000", *endpoint, "get", "large")
    assert less.code == 1
    assert b"larger than max" in less.stderr


def test_a_file_as_input(
    on: Callable[..., Any], run: Callable[..., Any], server: Any, tmp_path: Path
) -> None:
    """A file is no pipe: nobody can wait for it."""
    (tmp_path / "value").write_bytes(b"from a file")
    (tmp_path / "requests").write_bytes(b"\nput txn-file 1\n\n\n")
    (tmp_path / "watches").write_bytes(b"watch from-file --rev 1\n")
    with (tmp_path / "value").open() as file:
        assert on("put", "from-file", stdin=file.fileno()) == (0, b"")
    with (tmp_path / "requests").open() as file:
        assert on("txn", stdin=file.fileno()) == (0, b"")
    with (tmp_path / "watches").open() as file:
        code, said = on("watch", "-i", stdin=file.fileno())
    assert (code, said) == (3, b"Error: error reading watch request line: EOF\n")
    endpoint = ("--endpoints", server.address)
    assert run(*endpoint, "get", "from-file", "--print-value-only").stdout == b"from a file\n"
    assert run(*endpoint, "get", "txn-file", "--print-value-only").stdout == b"1\n"
