"""Scripts of command lines, run with one tool against one server.

A script is a text file, one step per line:

    put a 1                     run the tool with `--endpoints ADDRESS put a 1`
    | text                      a line of standard input for the command above; `{x*9}` is nine x; without such
                                lines it is empty
    bare get a                  the same without `--endpoints`
    with A=b C=d: get a         with these variables in the environment; bare, too
    id = lease grant 100        remember the ID of a new lease (or member) as `{id}`
    start NAME: watch a         run in the background
    tell NAME: progress         a line of standard input for it
    close NAME                  the end of its standard input
    lines NAME 3                wait until it has printed three lines (more), and take them
    errors NAME 3               the same of standard error
    stop NAME                   Ctrl-C, and what it says yet; `term NAME`: SIGTERM
    end NAME                    wait for its own end, and what it says yet
    until TEXT -> get a         repeat until it says TEXT
    watchers 1                  wait until the server has as many watchers
    file NAME text              write a file

Of a help text only the names are compared: commands, flags, defaults. In words, `\\xff` is a byte, `\\n` a line feed; `{rev}`, `{rev-1}` is the store's revision when the script began;
`{endpoint}` the server's address, `{tmp}` an empty folder. A first line `#! triode FLAGS` (or `etcd`, or
`both`) asks for servers of that kind, which no other script has seen, with these flags.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import shlex
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import attrs

STEP_SECONDS_MAX = 20
UNTIL_TRIES_MAX = 200
FAILED = ("<never", "<nothing more came>", "<did not end>", "<it ended>")
BACKSTAGE = {"tell", "close", "lines", "errors", "stop", "term", "end", "watchers", "file"}
SIGNALS = {"stop": signal.SIGINT, "term": signal.SIGTERM, "end": None}
# As many digits as chance gives it: one in sixteen has less than sixteen. Some places pad it with spaces (`%16x`),
# some with zeros, some not.
RANDOM_ID = r"[0-9a-f]{8,16}"
NEW_ID = re.compile(rf"(?:lease|Member) +({RANDOM_ID})\b")


@attrs.frozen
class Rule:
    """What may differ between two runs of equal tools, why, and what it is replaced with."""

    name: str
    reason: str
    pattern: re.Pattern[str]
    replacement: str


def rule(name: str, reason: str, pattern: str, replacement: str) -> Rule:
    return Rule(name, reason, re.compile(pattern, re.MULTILINE), replacement)


RULES = [
    rule("log", "the Go client's log, of retries and the like", r"^\{\"level\":.*\}\n?", ""),
    rule("took", "time that passed", r"\b[0-9.]+(ms|µs|ns)\b", "<time>"),
    rule(
        "took",
        "time that passed, above a second",
        r"(?:(?<=[Tt]ook )[0-9.]+|\b[0-9]+\.[0-9]{3,})s\b",
        "<time>",
    ),
    rule(
        "remaining",
        "a second may begin between grant and look",
        r"(remaining\(|\"ttl\":|^\"TTL\" : )(\d*)\d(?!\d)",
        r"\1\2<n>",
    ),
    rule("session", "ID of the lease behind a lock", rf"(?<=/){RANDOM_ID}\b", "<lease>"),
    rule(
        "random ID", "leases whose ID is random", r"\b[0-9a-f]{16}(?= granted with TTL)", "<lease>"
    ),
    rule("random ID", "the same in JSON", r"(\"ID\":)\d{10,19}(?=,\"TTL\")", r"\1<lease>"),
    rule("random ID", "the same in JSON", r"(\"lease\":)\d{10,19}", r"\1<lease>"),
    rule("random ID", "the same in fields", r"(\"ID\" : )\d{10,19}(?=\n\"TTL)", r"\1<lease>"),
    rule("random ID", "the same in fields", r"(\"Lease\" : )[1-9]\d{9,18}", r"\1<lease>"),
    rule(
        "session", "the same in JSON", r"\"key\":\"(?:bG8v|ZWwv)[^\"]*\"", '"key":"<of a session>"'
    ),
    rule("panic", "where in its own code etcdctl panicked", r"(! panic: .*\n)(?:! .*\n)+", r"\1"),
    rule("ID in a list", "leases in `lease list`", r"^[0-9a-f]{16}$", "<lease>"),
    rule(
        "raft index",
        "how a tool puts its requests, and how many it makes, is its own affair",
        r"(raft\w*Index\":|\"Raft\w*Index\" : )\d+",
        r"\1<index>",
    ),
    rule(
        "raft index",
        "the same in columns",
        r"((?:true|false)[, |]+\d+[, |]+)\d+([, |]+)\d+(?=[, |])",
        r"\1<index>\2<index>",
    ),
    rule("db size", "the same", r"(dbSize(?:InUse)?\":|\"DBSize(?:InUse)?\" : )\d+", r"\1<size>"),
    rule("db size", "the same", r"\b[0-9.]+ [kM]?B\b(?:, \d+%|( *\|) +\d+%)?", r"<size>\1"),
]


@attrs.frozen
class Step:
    """A line of the script, and what came of it: normalized lines."""

    line: str
    said: tuple[str, ...]


class Background:
    """A command that goes on while others run."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self._pumps = {
            name: self._pumping(pipe)
            for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr))
        }

    def _pumping(self, pipe: IO[bytes]) -> tuple[threading.Thread, queue.Queue[bytes | None]]:
        lines: queue.Queue[bytes | None] = queue.Queue()

        def pump() -> None:
            for line in pipe:
                lines.put(line)
            lines.put(None)

        thread = threading.Thread(target=pump, daemon=True)
        thread.start()
        return thread, lines

    def tell(self, data: bytes) -> None:
        """Write to its standard input, if it still reads."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def take(self, stream: str, count: int) -> bytes:
        """The next lines, waiting for them."""
        got = []
        for _ in range(count):
            try:
                line = self._pumps[stream][1].get(timeout=STEP_SECONDS_MAX)
            except queue.Empty:
                got.append(b"<nothing more came>\n")
                break
            if line is None:
                self._pumps[stream][1].put(None)
                got.append(b"<it ended>\n")
                break
            got.append(line)
        return b"".join(got)

    def finish(self, number: int | None) -> tuple[bytes, bytes, int | str]:
        """Interrupt it, or wait for its end; what is left of its output, and its exit code."""
        if number is not None:
            self.process.send_signal(number)
        try:
            code: int | str = self.process.wait(STEP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "<did not end>"
        self.close()
        out, errors = (
            b"".join(iter(lambda lines=lines: lines.get() or b"", b""))  # type: ignore[misc]
            for _, lines in self._pumps.values()
        )
        return out, errors, code

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        for thread, _ in self._pumps.values():
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Script:
    """One run of a script."""

    def __init__(
        self,
        tools: Any,
        tool: Any,
        address: str,
        folder: Path,
        environment: dict[str, str],
        names: dict[str, str],
    ) -> None:
        """`tools` is the module with `run`; `names` are texts that stand for others in what is said."""
        self._tools = tools
        self._tool = tool
        self._address = address
        self._folder = folder
        self._environment = environment
        self._values = {"tmp": str(folder), "endpoint": address}
        self._names = {
            str(folder): "tmp",
            address: "endpoint",
            address.partition(":")[2]: "port",
        } | names
        self._ids: dict[re.Pattern[str], str] = {}
        self._background: dict[str, Background] = {}
        self._revision = 0

    def run(self, text: str) -> list[Step]:
        """Each step and, normalized, what came of it."""
        self._revision = self._current_revision()
        done: list[Step] = []
        try:
            for line, stdin in steps(text):
                said = self._step(line, stdin.encode("utf-8", "surrogateescape"))
                done.append(Step(line, tuple(self._normalized(said).splitlines())))
        finally:
            for one in self._background.values():
                one.close()
        return done

    def _current_revision(self) -> int:
        done = self._tools.run(
            self._tools.ETCDCTL,
            ["--endpoints", self._address, "get", "x", "-w", "json"],
            stdin=b"",
            environment=self._environment,
            folder=self._folder,
        )
        return int(json.loads(done.stdout)["header"]["revision"]) if not done.code else 0

    def _step(self, line: str, stdin: bytes) -> str:
        line = re.sub(r"\{rev([+-]\d+)?\}", self._revision_of, line)
        for name, value in self._values.items():
            line = line.replace("{" + name + "}", value)
        word, _, rest = line.partition(" ")
        backstage = getattr(self, f"_do_{word}", None)
        if backstage is not None:
            return str(backstage(rest))
        if word in SIGNALS:
            return shown(*self._background[rest].finish(SIGNALS[word]))
        if rest.startswith("= "):
            return self._remember(word, self._run(rest.removeprefix("= "), stdin))
        return self._run(line, stdin)

    def _do_start(self, rest: str) -> str:
        name, _, command = rest.partition(": ")
        words, environment = self._words(command)
        self._background[name] = Background(
            self._tool.start(words, environment=environment, folder=self._folder)
        )
        return ""

    def _do_tell(self, rest: str) -> str:
        name, _, said = rest.partition(": ")
        self._background[name].tell(said.encode() + b"\n")
        return ""

    def _do_close(self, name: str) -> str:
        self._background[name].process.stdin.close()
        return ""

    def _do_lines(self, rest: str) -> str:
        name, count = rest.split()
        return text_of(self._background[name].take("stdout", int(count)))

    def _do_errors(self, rest: str) -> str:
        name, count = rest.split()
        return text_of(self._background[name].take("stderr", int(count)))

    def _do_until(self, rest: str) -> str:
        wanted, _, command = rest.partition(" -> ")
        said = ""
        for _ in range(UNTIL_TRIES_MAX):
            said = self._run(command, b"")
            if wanted in said:
                return said
        return f"<never said {wanted!r}>\n{said}"

    def _do_watchers(self, count: str) -> str:
        waited = threading.Event()
        for _ in range(UNTIL_TRIES_MAX * 10):
            with urllib.request.urlopen(f"http://{self._address}/metrics") as response:
                found = re.search(
                    r"\netcd_debugging_mvcc_watcher_total (\d+)\n", response.read().decode()
                )
                if found and found[1] == count:
                    return ""
            waited.wait(0.01)
        return f"<never {count}, but {found and found[1]}>"

    def _do_file(self, rest: str) -> str:
        name, _, text = rest.partition(" ")
        (self._folder / name).write_text(text)
        return ""

    def _revision_of(self, match: re.Match[str]) -> str:
        return str(self._revision + int(match[1] or 0))

    def _remember(self, name: str, said: str) -> str:
        found = NEW_ID.search(said)
        if found is None:
            return said
        number = int(found[1], 16)
        self._values |= {name: found[1], name + ".decimal": str(number)}
        self._names |= {str(number): f"{name}.decimal"}
        self._ids |= {id_pattern(f"{number:x}"): name}
        return said

    def _words(self, command: str) -> tuple[list[str], dict[str, str]]:
        environment = self._environment
        if command.startswith("with "):
            assignments, _, command = command.removeprefix("with ").partition(": ")
            extra = (word.partition("=") for word in shlex.split(assignments))
            environment = environment | {name: value for name, _, value in extra}
        elif command == "bare" or command.startswith("bare "):
            command = command.removeprefix("bare").lstrip()
        else:
            command = f"--endpoints {self._address} {command}"
        return [unescaped(word) for word in shlex.split(command)], environment

    def _run(self, command: str, stdin: bytes) -> str:
        words, environment = self._words(command)
        done = self._tools.run(
            self._tool, words, stdin=stdin, environment=environment, folder=self._folder
        )
        return shown(done.stdout, done.stderr, done.code)

    def _normalized(self, said: str) -> str:
        for value, name in self._names.items():
            said = said.replace(value, f"<{name}>")
        for pattern, name in self._ids.items():
            said = pattern.sub(f"<{name}>", said)
        for each in RULES:
            said = each.pattern.sub(each.replacement, said)
        return narrow(said) if TABLE_OF_VALUES.search(said) else said


def id_pattern(digits: str) -> re.Pattern[str]:
    """An ID wherever it stands, with what fills it up to sixteen places."""
    padding = " " * (16 - len(digits))
    padded = rf"(?:^|(?<=[ \[])){padding}{digits}|" if padding else ""
    return re.compile(rf"{padded}\b0*{digits}\b", re.MULTILINE)


def unescaped(word: str) -> str:
    """A word with its bytes and line feeds."""
    return with_bytes(word).replace("\\n", "\n").replace("\\t", "\t")


def with_bytes(text: str) -> str:
    """Text with `\\xff` as bytes, those that are no ASCII as Python's surrogates for them."""

    def byte(match: re.Match[str]) -> str:
        return bytes([int(match[1], 16)]).decode("ascii", "surrogateescape")

    return re.sub(r"\\x([0-9a-f]{2})", byte, text)


def text_of(data: bytes) -> str:
    """Bytes as lines of text; what is no text is visible, and so is whether the last line has an end."""
    text = data.decode("utf-8", "backslashreplace").replace("\r", "\\r").replace("\x00", "\\0")
    if text and not text.endswith("\n"):
        text += "\\\n"
    return re.sub(
        r"[\x01-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", lambda m: f"\\x{ord(m[0]):02x}", text
    )


def shown(stdout: bytes, stderr: bytes, code: int | str) -> str:
    """All that a process leaves, with what comes from standard error marked."""
    errors = [line for line in text_of(stderr).splitlines() if not line.startswith('{"level":')]
    said = text_of(stdout) + "".join(f"! {line}\n" for line in errors) + f"exit {code}\n"
    return names_of(said) if HELP.search(said) else said


# Columns are as wide as what was in them.
TABLE_OF_VALUES = re.compile(r"^\|.*<(time|size|index)>", re.MULTILINE)


def narrow(said: str) -> str:
    """A table without what fills its columns."""
    return re.sub(r" {2,}|-{2,}", " ", said)


HELP = re.compile(r"^(! )?USAGE:?$", re.MULTILINE | re.IGNORECASE)
FLAG = re.compile(r"^ +(?:(-\w), )?--([\w-]+)(\S*)")
SUBCOMMAND = re.compile(r"^[\t ]+([a-z][\w-]*(?: [a-z][\w-]*)?)(?:\t+| {2,})\S")


def names_of(said: str) -> str:
    """Of a help text: the names of commands and own flags with their defaults, in order."""
    found = set()
    kept = []
    everywhere = False
    for line in said.splitlines():
        if line and not line.startswith((" ", "\t")):
            everywhere = "GLOBAL" in line.upper()
        if everywhere:
            continue
        flag = FLAG.match(line.removeprefix("! "))
        command = SUBCOMMAND.match(line.removeprefix("! "))
        if flag:
            found.add(f"--{flag[2]}{flag[3]}" + (f" {flag[1]}" if flag[1] else ""))
        elif command:
            found.add(command[1])
        elif line.startswith(("exit ", "! Error")):
            kept.append(line)
    failed = any(line.startswith("! Error") for line in kept)
    return "\n".join(["<help>", *([] if failed else sorted(found)), *kept, ""])


def steps(text: str) -> Iterator[tuple[str, str]]:
    """The lines of a script with their standard input."""
    step: tuple[str, list[str]] | None = None
    for line in text.splitlines():
        if line.startswith("|"):
            assert step is not None, line
            said = re.sub(r"\{x\*(\d+)\}", lambda m: "x" * int(m[1]), line[1:].removeprefix(" "))
            step[1].append(with_bytes(said))
            continue
        if step is not None:
            yield step[0], "".join(f"{said}\n" for said in step[1])
            step = None
        if line.strip() and not line.startswith("#"):
            step = (line, [])
    if step is not None:
        yield step[0], "".join(f"{said}\n" for said in step[1])


Say = Callable[[Any, str], list[Step]]
