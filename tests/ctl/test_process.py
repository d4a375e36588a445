"""triodectl as a process: what it loads, how it ends, what shells complete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from triode.cli.common.complete import candidates
from triode.cli.common.shells import SCRIPTS
from triode.cli.ctl.main import PROGRAM

TRIODECTL = Path(sys.executable).with_name("triodectl")
HEAVY = ("trio", "rich", "click", "asyncio", "ssl", "cryptography", "cattrs", "logging")


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [TRIODECTL, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.parametrize("line", ["get start", "put start 1", "get start -w json", "lease list"])
def test_a_single_call_loads_little(server: Any, line: str) -> None:
    """What most of the start-up would go to otherwise."""
    words = ["--endpoints", server.address, *line.split()]
    program = f"""
import io, sys
from triode.cli.common.output import Output
from triode.cli.common.run import execute
from triode.cli.ctl.main import PROGRAM
assert execute(PROGRAM, {words!r}, Output(io.BytesIO())) == 0
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_reader_that_leaves(server: Any, ctl: Callable[..., Any]) -> None:
    """Like any tool in a pipe: no word, and the shell sees SIGPIPE."""
    ctl("put", "pipe", stdin=b"x" * 1_000_000)
    with start("get", "pipe", "--endpoints", server.address) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(4) == b"pipe"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == -signal.SIGPIPE
    ctl("del", "pipe")


def test_interrupted_while_it_watches(server: Any, ctl: Callable[..., Any]) -> None:
    ctl("put", "interrupt", "1")
    revision = ctl("get", "interrupt", "-w", "fields").text.split('"ModRevision" : ')[1].split()[0]
    command = ("watch", "interrupt", "--rev", revision, "--endpoints", server.address)
    with start(*command) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"PUT\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
        assert process.stderr.read() == b""


def test_interrupted_while_it_waits_for_nobody() -> None:
    with start("get", "a", "--endpoints", "127.0.0.1:1", "--command-timeout", "1h") as process:
        assert process.stderr is not None
        assert b"refused" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
        assert process.stderr.read() == b""


def test_a_watch_runs_a_command_for_each_event(
    server: Any, ctl: Callable[..., Any], triodectl: Callable[..., Any]
) -> None:
    ctl("put", "exec", 'a"\n')
    fields = ctl("get", "exec", "-w", "fields").text
    revision = fields.split('"ModRevision" : ')[1].split()[0]
    shown = "$ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"
    command = ("--endpoints", server.address, "watch", "--rev", revision, "exec", "--")
    done = triodectl(*command, "sh", "-c", f'printf "%s\\n" "{shown}"; exit 3')
    assert done.text == f'PUT\nexec\na"\n\n{revision} "PUT" "exec" "a\\"\\n"\n'
    assert done.code == 1
    assert done.errors[-1].endswith("error (exit status 3)")
    done = triodectl(*command, "/no/such/program")
    assert done.code == 1
    assert done.errors == [
        'command ["/no/such/program"] error (fork/exec /no/such/program: no such file or directory)'
    ]
    ctl("put", "exec", "a" * 200_000)  # more than a variable can hold
    command = (*command[:4], str(int(revision) + 1), *command[5:])
    done = triodectl(*command, "sh", "-c", "true")
    assert done.code == 1
    expected = f'command ["sh" "-c" "true"] error (fork/exec {which("sh")}: argument list too long)'
    assert done.errors == [expected]


def test_watching_interactively(server: Any, ctl: Callable[..., Any]) -> None:
    """Watches and questions for progress, line by line; the end of input is the end."""
    ctl("put", "inter1", "1")
    fields = ctl("get", "inter1", "-w", "fields").text
    revision = fields.split('"ModRevision" : ')[1].split()[0]
    process = subprocess.Popen(
        [TRIODECTL, "watch", "-i", "--endpoints", server.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"nonsense\nwatch inter --prefix --rev {revision}\n".encode())
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(3)] == [b"PUT\n", b"inter1\n", b"1\n"]
    process.stdin.write(b"progress\n")
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"progress notify: ")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert errors.decode().splitlines() == [
        "Invalid command nonsense (only support watch)",
        "Error: error reading watch request line: EOF",
    ]


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("watch", 128, "bad number of arguments"),
        ("watch a --", 128, "bad number of arguments (found separator --, but no commands)"),
        ("watch a b --prefix", 128, "`range_end` and `--prefix` are mutually exclusive"),
        ("KEY=k watch a", 128, "bad number of arguments (found conflicting environment key)"),
        ("RANGE_END=k watch", 128, 'ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END="k"'),
    ],
)  # fmt: skip
def test_watches_that_are_none(
    here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, line: str, code: int, error: str
) -> None:
    words = line.split()
    if "=" in words[0]:
        name, _, text = words.pop(0).partition("=")
        monkeypatch.setenv(f"ETCDCTL_WATCH_{name}", text)
    done = here(*words)
    assert (done.code, done.errors) == (code, [f"Error: {error}"])


def values(*words: str) -> list[str]:
    return [value for value, _ in candidates(PROGRAM, words)[0]]


def test_candidates() -> None:
    assert values("le") == ["lease"]
    assert sorted(values("lease", "")) == ["grant", "keep-alive", "list", "revoke", "timetolive"]
    assert values("-w", "json", "lea", "k") == ["keep-alive"]
    assert values("help", "lease", "g") == ["grant"]
    assert values("get", "--ord") == ["--order"]
    assert values("get", "--order", "") == ["ASCEND", "DESCEND"]
    assert values("get", "--order=D") == ["--order=DESCEND"]
    assert values("get", "--prefix=t") == ["--prefix=true"]
    assert values("get", "-w", "j") == ["json"]
    assert values("get", "--", "--ord") == []
    assert values("completion", "") == ["bash", "zsh", "fish", "powershell"]
    assert values("nosuch", "") == []
    assert "--limit" in values("get", "a", "-")
    assert candidates(PROGRAM, ["get", "--cert", ""]) == ([], True)
    assert candidates(PROGRAM, ["get", ""]) == ([], False)
    assert set(PROGRAM.modules) <= set(values(""))


@pytest.mark.parametrize(
    ("words", "index", "found"),
    [
        (["triodectl", "le"], 1, "lease"),
        (["triodectl", "lease", "gr"], 2, "grant"),
        (["triodectl", "get", "--order", "=", "D"], 4, "DESCEND"),
        (["triodectl", "get", "--order", "="], 3, "ASCEND DESCEND"),
        (["triodectl", "get", "--order", "DE"], 3, "DESCEND"),
    ],
)
def test_bash_completes(here: Callable[..., Any], words: list[str], index: int, found: str) -> None:
    """The words as bash cuts them, which is at every "=", too."""
    quoted = " ".join(f"'{word}'" for word in words)
    program = f"""
eval "$(cat)"
COMP_WORDS=({quoted}); COMP_CWORD={index}
__triodectl_complete
echo "${{COMPREPLY[*]}}"
"""
    path = f"{TRIODECTL.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        input=here("completion", "bash").text,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
    )
    assert (done.stdout, done.stderr) == (f"{found}\n", "")


def test_every_shell_has_its_script(here: Callable[..., Any]) -> None:
    for shell in SCRIPTS:
        text = here("completion", shell).text
        assert "PROGRAM" not in text
        assert "triodectl" in text
        assert "__complete" in text
    wrong = here("completion", "tcsh")
    assert wrong.code == 1
    assert wrong.errors[0] == 'Error: invalid argument "tcsh" for "triodectl completion"'
    assert here("completion").errors[0] == "Error: accepts 1 arg(s), received 0"


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        ("get a >&-", 0, ""),
        ("get >&-", 128, "Error: get command needs one argument as key"),
        ("get a --foo >&-", 1, "Error: unknown flag: --foo"),
        ("put a <&-", 128, "Error: put command needs 1 argument and input from stdin"),
        ("txn <&-", 3, "Error: EOF"),
        ("watch -i <&-", 3, "Error: error reading watch request line: EOF"),
        ("get 2>&-", 128, ""),
        ("get closed >/dev/full", 6, "Error: write: no space left on device"),
        ("get --help >/dev/full", 6, "Error: write: no space left on device"),
    ],
)
def test_files_that_are_closed_or_full(
    server: Any, ctl: Callable[..., Any], redirected: str, code: int, said: str
) -> None:
    ctl("put", "closed", "1")
    done = subprocess.run(
        ["sh", "-c", f"exec {TRIODECTL} --endpoints {server.address} {redirected}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert bool(done.stderr) == bool(said)
