"""`triode`: the server. Takes etcd's flags, the same settings from a TOML file, or from `TRIODE_*`."""

from __future__ import annotations

import gc
import itertools
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import trio

from ..config import PEER_URL, Config
from ..errors import ConfigError, MemberRemoved, NodeError, TriodeError
from ..mvcc.autocompact import auto_compactor
from ..settings import NAMES, NOT_YET, build, environment, flags, kind_of, read_toml, variable_of
from ..version import SERVER_VERSION, TRIODE_VERSION

__all__ = ["main", "shown"]

EXIT_FAILED = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECOND_SIGNAL_SECONDS = 0.001
GC_THRESHOLDS = (50_000, 20, 100)
"""Collect less often than by default, which is every few thousand calls.

A store holds millions of objects that live long and form no cycles, and a full collection walks all of them.
"""
GC_FREEZE_SECONDS = 2.0
RAFT_TIMEOUT_SECONDS_MIN = 5.0  # as in etcd; an embedding program may choose less
READY_LINE = "ready to serve client requests"
_WITH_VALUE = {*NAMES, *NOT_YET, "config-file"}


def version_text() -> str:
    """The four lines of `etcd --version`, which tools read."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    runtime = f"none (Triode {TRIODE_VERSION}, {platform.python_implementation()} {platform.python_version()})"
    return (
        f"etcd Version: {SERVER_VERSION}\nGit SHA: Not provided\n"
        f"Go Version: {runtime}\nGo OS/Arch: {platform.system().lower()}/{machine}"
    )


def normalize(arguments: Sequence[str]) -> list[str]:
    """Go's flag syntax as click's: one dash is as good as two, and a bare boolean means true."""
    booleans = {name for name in NAMES if kind_of(name) is bool}
    out = []
    rest = iter(arguments)
    for argument in rest:
        text = argument
        if text.startswith("-") and not text.startswith("--") and len(text) > 2:
            text = "-" + text
        name = text.removeprefix("--")
        if name in booleans:
            text += "=true"
        out.append(text)
        if name in _WITH_VALUE and name not in booleans:
            out.extend(itertools.islice(rest, 1))  # a value is no flag, even if it is -1
    return out


def configure(given: Mapping[str, Any], variables: Mapping[str, str]) -> tuple[Config, list[str]]:
    """The configuration from all sources, and warnings.

    Flags and variables win over the file. A setting that is both a flag and a variable is an error, as
    with etcd: which one was meant cannot be known.
    """
    from_environment, unknown = environment(variables)
    for name in given:
        if name in from_environment.values:
            raise ConfigError(
                f'conflicting environment variable "{variable_of(name)}" is shadowed by corresponding'
                " command-line flag (either unset environment variable or disable flag)"
            )
    settings = {**from_environment.values, **given}
    file = settings.get("config-file")
    sources = [read_toml(Path(file))] if file else []
    only = {k: v for k, v in from_environment.values.items() if k != "config-file"}
    sources.append(attrs.evolve(from_environment, values=only))
    sources.append(flags({k: v for k, v in given.items() if k != "config-file"}))
    warnings = [f"unrecognized environment variable {name}" for name in unknown]
    config = build(*sources)
    if not any("log-format" in source.values for source in sources) and _reads_on_a_terminal(
        config
    ):
        config = attrs.evolve(config, log_format="console")
    if not config.listen_peer_urls:
        config = attrs.evolve(config, listen_peer_urls=(PEER_URL,))
    for field in ("raft_read_timeout", "raft_write_timeout"):
        if getattr(config, field) < RAFT_TIMEOUT_SECONDS_MIN:
            raised: dict[str, Any] = {field: RAFT_TIMEOUT_SECONDS_MIN}
            config = attrs.evolve(config, **raised)
            name = field.replace("_", "-")
            warnings.append(f"{name} increased to minimum value: {RAFT_TIMEOUT_SECONDS_MIN:g}s")
    auto_compactor(config.auto_compaction_mode, config.auto_compaction_retention)  # may be refused
    return config, warnings


def _reads_on_a_terminal(config: Config) -> bool:
    """Whether all lines go to a terminal: then a person reads them."""
    return config.log_outputs in ("default", "stderr") and sys.stderr.isatty()


class _Command(click.Command):
    """Prints settings by section, with defaults, as etcd's help does."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for field in attrs.fields(Config):
            flag = "--" + field.name.replace("_", "-")
            sections.setdefault(field.metadata["section"], []).append(
                (f"{flag} '{shown(field.name, field.default)}'", field.metadata["help"])
            )
        sections.setdefault("Other", []).extend(
            [
                (
                    "--config-file PATH",
                    "Read settings from a TOML file; keys are the flags' names.",
                ),
                ("--version", "Print the version and exit."),
                ("--help", "Print this and exit."),
            ]
        )
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows, col_max=34)
        del ctx


def shown(name: str, value: Any) -> str:
    """A setting's value as a flag would have it; durations in the unit that fits."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if name in ("heartbeat_interval", "election_timeout"):
        return f"{value * 1000:g}"
    if isinstance(value, float):
        return _duration(value)
    return str(value)


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _command() -> click.Command:
    options: list[click.Parameter] = [
        click.Option([f"--{name}", name.replace("-", "_")], default=None, metavar="VALUE")
        for name in (*NAMES, *NOT_YET, "config-file")
    ]
    options.append(click.Option(["--version"], is_flag=True, is_eager=True))

    def callback(version: bool, **values: str | None) -> None:
        if version:
            click.echo(version_text())
            return
        given = {k.replace("_", "-"): v for k, v in values.items() if v is not None}
        sys.exit(start(given, os.environ))

    return _Command(
        "triode",
        params=options,
        callback=callback,
        help="Start an etcd-compatible key-value server.",
        epilog="Each flag is also a key of the TOML file, and a variable such as TRIODE_DATA_DIR.",
        context_settings={"max_content_width": 100, "help_option_names": ["--help", "-h"]},
    )


def start(given: Mapping[str, Any], variables: Mapping[str, str]) -> int:
    """Configure and run the daemon; returns its exit code."""
    from . import logs

    gc.set_threshold(*GC_THRESHOLDS)
    logs.set_up(Config())
    try:
        config, warnings = configure(given, variables)
        logs.set_up(config)
    except ConfigError as error:
        _log().error("failed to verify flags", error=str(error))
        return EXIT_FAILED
    for warning in warnings:
        _log().warning(warning)
    try:
        trio.run(_serve, config)
    except KeyboardInterrupt:
        return EXIT_FAILED
    except TriodeError as error:
        reason = _reason(error)
        _log().error("stopped by an error", error=str(reason) or repr(reason))
        if not logs.writes_to_stderr():
            click.echo(f"triode: stopped by an error: {reason}", err=True)
        return EXIT_FAILED
    return 0


def _reason(error: BaseException) -> BaseException:
    """The innermost reason that says something to an operator."""
    while not isinstance(error, ConfigError | NodeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


async def _freeze_garbage_collection() -> None:
    """Leave out of all further collections what exists once the node serves: it is never garbage.

    Not at once, since the first clients are waiting and a full collection takes a while.
    """
    await trio.sleep(GC_FREEZE_SECONDS)
    gc.collect()
    gc.freeze()


async def _serve(config: Config) -> None:
    log = _log()
    log.info("starting", version=SERVER_VERSION, triode=TRIODE_VERSION, name=config.name)
    stop, failure = _Stop(), None
    with trio.open_signal_receiver(*STOP_SIGNALS, signal.SIGHUP) as signals:
        async with trio.open_nursery() as watching:
            watching.start_soon(stop.wait_for, _without_reopening(signals))
            try:
                with stop.starting:  # which takes as long as there is no quorum
                    await _serve_until(stop, config)
            except TriodeError as error:
                failure = error
            watching.cancel_scope.cancel()
    _ignore_signals()  # the block has put back what was before it
    if failure is not None and not (
        stop.is_serving and isinstance(_reason(failure), MemberRemoved)
    ):
        raise failure
    log.info("stopped")


async def _serve_until(stop: _Stop, config: Config) -> None:
    from ..actors.node import open_node

    async with open_node(config) as node, trio.open_nursery() as nursery:
        stop.is_serving = True
        _log().info(READY_LINE, name=config.name, ports=list(node.clients.ports))
        _notify_systemd("READY=1")
        nursery.start_soon(_freeze_garbage_collection)
        await stop.asked.wait()
        _notify_systemd("STOPPING=1")
        nursery.cancel_scope.cancel()


async def _without_reopening(signals: AsyncIterator[int]) -> AsyncIterator[int]:
    """The signals that ask for a stop. SIGHUP has the log's files reopened; without any it is the terminal's end."""
    from . import logs

    async for number in signals:
        if number == signal.SIGHUP and logs.reopen():
            _log().info("reopened the log's files", signal=signal.Signals(number).name)
        else:
            yield number


class _Stop:
    """What a signal does: a node that serves stops gracefully, one that is still starting is given up."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.starting = trio.CancelScope()
        self.is_serving = False

    async def wait_for(self, signals: AsyncIterator[int]) -> None:
        number = await anext(signals)
        _log().info("received signal; shutting down", signal=signal.Signals(number).name)
        _ignore_signals()
        with trio.move_on_after(SECOND_SIGNAL_SECONDS):
            async for _ in signals:  # what came before that would be raised again at the end
                pass
        self.asked.set()
        if not self.is_serving:
            self.starting.cancel()


def _ignore_signals() -> None:
    """The stop is bounded: whoever asks for it twice must not turn it into a death by signal."""
    for number in (*STOP_SIGNALS, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _notify_systemd(state: str) -> None:
    """Tell systemd how the service is (sd_notify's protocol), if it started us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    import socket

    path = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(path)
            sock.send(state.encode())
    except OSError as error:  # nobody listens: no reason not to serve
        _log().warning("failed to notify systemd", address=address, error=str(error))


def _log() -> Any:
    from ..actors.log import Log

    return Log("triode")


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the command `triode`."""
    argv = sys.argv[1:] if arguments is None else arguments
    _command().main(args=normalize(argv), prog_name="triode")


if __name__ == "__main__":
    main()
