"""Settings as people write them: every one as a flag, a key of the TOML file and a variable."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from triode import features
from triode.cli.daemon import configure, main, normalize
from triode.config import Bytes, Config, Milliseconds, Seconds, Urls
from triode.errors import ConfigError
from triode.settings import NAMES, NOT_YET, kind_of, variable_of

SAMPLES: dict[Any, tuple[str, Any]] = {
    Seconds: ("1m30s", 90.0),
    Milliseconds: ("1100", 1.1),
    Bytes: ("3MiB", 3 << 20),
    Urls: ("http://127.0.0.1:1,http://[::1]:2/", ("http://127.0.0.1:1", "http://[::1]:2")),
    int: ("7", 7),
    str: ("something", "something"),
    Path: ("/some/where", Path("/some/where")),
}
TEXTS = {
    "auto-compaction-retention": "72h",
    "initial-cluster": "a=http://127.0.0.1:1,b=http://127.0.0.1:2",
    "feature-gates": "CompactHashCheck=true,AllBeta=false",
}


def sample(name: str) -> tuple[str, Any]:
    """A text that is not the default, and what it means."""
    field = attrs.fields_dict(Config)[name.replace("-", "_")]
    choices = [choice for choice in field.metadata["choices"] if choice != field.default]
    if field.metadata["choices"]:
        value = (choices or field.metadata["choices"])[0]
        return value, value
    if kind_of(name) is bool:
        return str(not field.default).lower(), not field.default
    if name in TEXTS:
        return TEXTS[name], TEXTS[name]
    if name == "heartbeat-interval":
        return "50", 0.05
    return SAMPLES[kind_of(name)]


def write(folder: Path, text: str) -> Path:
    path = folder / "triode.toml"
    path.write_text(text)
    return path


# --- every setting ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_in_every_source(name: str, tmp_path: Path) -> None:
    """A flag, a variable and a key of the file mean the same."""
    text, meaning = sample(name)
    file = write(tmp_path, f"{name} = '{text}'\n")
    as_flag, _ = configure({name: text}, {})
    as_variable, _ = configure({}, {variable_of(name): text})
    in_file, _ = configure({"config-file": str(file)}, {})
    assert getattr(as_flag, name.replace("-", "_")) == meaning
    assert as_flag == as_variable == in_file
    assert variable_of(name) == "TRIODE_" + name.upper().replace("-", "_")


@pytest.mark.parametrize("name", NOT_YET)
def test_refused_settings_say_why(name: str, tmp_path: Path) -> None:
    """A flag of etcd's that is not supported is an error with a reason, wherever it is written."""
    reason = re.escape(NOT_YET[name])
    with pytest.raises(ConfigError, match=f"--{name}: {reason}"):
        configure({name: "x"}, {})
    with pytest.raises(ConfigError, match=f"{variable_of(name)}: {reason}"):
        configure({}, {variable_of(name): "x"})
    with pytest.raises(ConfigError, match=f"line 2, {name}: {reason}"):
        configure({"config-file": str(write(tmp_path, f"\n{name} = 'x'"))}, {})


def test_values_of_toml(tmp_path: Path) -> None:
    """Numbers, booleans and lists need no quotes in the file."""
    text = "max-txn-ops = 5\npre-vote = false\nelection-timeout = 2000\nquota-backend-bytes = 100\n"
    text += "listen-client-urls = ['http://127.0.0.1:1', 'http://127.0.0.1:2']\n"
    config, _ = configure({"config-file": str(write(tmp_path, text))}, {})
    assert (config.max_txn_ops, config.pre_vote, config.election_timeout) == (5, False, 2.0)
    assert config.quota_backend_bytes == 100
    assert config.listen_client_urls == ("http://127.0.0.1:1", "http://127.0.0.1:2")


# --- which one counts ---------------------------------------------------------------------------


def test_precedence(tmp_path: Path) -> None:
    """Flags and variables win over the file."""
    file = write(tmp_path, "name = 'file'\nbackend = 'memory'\nlog-level = 'debug'\n")
    config, _ = configure({"config-file": str(file), "name": "flag"}, {"TRIODE_LOG_LEVEL": "error"})
    assert (config.name, config.backend, config.log_level) == ("flag", "memory", "error")


def test_the_file_can_be_named_by_a_variable(tmp_path: Path) -> None:
    """As every flag can."""
    file = write(tmp_path, "name = 'file'\n")
    assert configure({}, {"TRIODE_CONFIG_FILE": str(file)})[0].name == "file"


def test_flag_and_variable_together() -> None:
    """Etcd refuses to guess which was meant, in these words."""
    with pytest.raises(ConfigError, match=r'conflicting environment variable "TRIODE_NAME" is'):
        configure({"name": "a"}, {"TRIODE_NAME": "a"})


def test_unknown_variables_are_warned_of() -> None:
    """They may belong to something else; but a misspelt one must be seen."""
    _, warnings = configure({}, {"TRIODE_NMAE": "a", "PATH": "/bin", "ETCD_NAME": "b"})
    assert warnings == ["unrecognized environment variable TRIODE_NMAE"]


# --- flags --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["-name", "a"], ["--name", "a"]),
        (["-name=a"], ["--name=a"]),
        (["--pre-vote"], ["--pre-vote=true"]),
        (["-pre-vote", "-name", "a"], ["--pre-vote=true", "--name", "a"]),
        (["--pre-vote=false"], ["--pre-vote=false"]),
        (["--name", "-"], ["--name", "-"]),
        (["-name", "-pre-vote"], ["--name", "-pre-vote"]),
        (["--quota-backend-bytes", "-1"], ["--quota-backend-bytes", "-1"]),
        (["--quota-backend-bytes", "-100"], ["--quota-backend-bytes", "-100"]),
    ],
)
def test_flags_as_go_programs_take_them(given: list[str], meant: list[str]) -> None:
    """One dash is as good as two, and a boolean needs no value."""
    assert normalize(given) == meant


@pytest.mark.parametrize("text", ["true", "True", "1", "t"])
def test_true(text: str) -> None:
    """What Go's flags take."""
    assert configure({"unsafe-no-fsync": text}, {})[0].unsafe_no_fsync is True


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("100ms", 0.1), ("1.5s", 1.5), ("2h45m", 9900), ("0", 0), ("3µs", 3e-6), ("5ns", 5e-9)],
)
def test_durations(text: str, seconds: float) -> None:
    """Go's syntax."""
    config, _ = configure({"grpc-keepalive-interval": text}, {})
    assert config.grpc_keepalive_interval == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "seconds"), [("100", 0.1), ("100ms", 0.1), ("0.1s", 0.1)])
def test_milliseconds(text: str, seconds: float) -> None:
    """etcd writes these as bare numbers; a unit says it better."""
    assert configure({"heartbeat-interval": text}, {})[0].heartbeat_interval == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("-1", -1), ("2GiB", 2 << 30), ("8 kB", 8000), ("1mib", 1 << 20)]
)
def test_sizes(text: str, size: int) -> None:
    """Bytes, or a unit."""
    assert configure({"quota-backend-bytes": text}, {})[0].quota_backend_bytes == size


# --- what is wrong ------------------------------------------------------------------------------

WRONG = [
    ("heartbeat-interval", "fast", "'fast' is not a duration"),
    ("heartbeat-interval", "0", "heartbeat-interval: it must be positive"),
    ("election-timeout", "200", "election-timeout: 200 ms is less than 5 times heartbeat-interval"),
    ("election-timeout", "60s", "election-timeout: 60000 ms is more than 50000 ms"),
    ("grpc-keepalive-interval", "5", 'with a unit, such as "100ms"'),
    ("max-txn-ops", "many", "--max-txn-ops: 'many' is not a whole number"),
    ("max-txn-ops", "0", "max-txn-ops: it must be positive"),
    ("max-wals", "-1", "max-wals: it must not be negative"),
    ("quota-backend-bytes", "2 gallons", "--quota-backend-bytes: '2 gallons' is not a size"),
    ("pre-vote", "maybe", "--pre-vote: 'maybe' is neither true nor false"),
    ("name", "", "name: it must not be empty"),
    ("data-dir", "", "--data-dir: the path is empty"),
    ("log-level", "loud", "log-level: 'loud' is none of debug, info, warn"),
    ("logger", "capnslog", "logger: 'capnslog' is none of zap"),
    ("initial-cluster-state", "old", "initial-cluster-state: 'old' is none of new, existing"),
    ("auto-compaction-mode", "yearly", "auto-compaction-mode: 'yearly' is none of"),
    ("auto-compaction-retention", "-1", "auto-compaction-retention: it must not be negative"),
    ("auto-compaction-retention", "soon", "auto-compaction-retention: .*'soon'"),
    ("watch-progress-notify-interval", "1ms", "it must be at least 100ms"),
    ("listen-client-urls", "127.0.0.1:2379", "must begin with http://"),
    ("listen-client-urls", "http://127.0.0.1", "needs a host and a port"),
    ("listen-client-urls", "http://127.0.0.1:99999", "needs a host and a port"),
    ("listen-client-urls", "http://example.com:1", "needs an IP address to listen on"),
    ("listen-client-urls", "http://127.0.0.1:1/x", "must not have a path"),
    ("listen-client-urls", "https://127.0.0.1:1", "TLS is not supported yet"),
    ("listen-metrics-urls", "https://127.0.0.1:1", "listen-metrics-urls: .*TLS is not supported"),
    ("listen-client-urls", "unixs:///tmp/x", "TLS is not supported yet"),
    ("listen-peer-urls", "https://127.0.0.1:1", "TLS is not supported yet"),
    ("max-learners", "-1", "max-learners: it must not be negative"),
    ("compact-hash-check-time", "0", "compact-hash-check-time: it must be positive"),
    ("initial-advertise-peer-urls", "", "there must be at least one"),
    ("initial-advertise-peer-urls", "http://127.0.0.1", "needs a host and a port"),
    ("initial-cluster", "a", "initial-cluster: 'a' is not NAME=URL"),
    ("initial-cluster", "a=", "initial-cluster: 'a=' is not NAME=URL"),
    ("initial-cluster", "=http://127.0.0.1:1", "is not NAME=URL"),
    ("initial-cluster", "a=127.0.0.1:2380", "must begin with http://"),
    ("initial-cluster", "a=http://127.0.0.1", "needs a host and a port"),
    ("initial-cluster", "a=http://127.0.0.1:1/x", "must not have a path"),
    ("feature-gates", "X=true", "feature-gates: unrecognized feature gate: X$"),
    ("feature-gates", "CompactHashCheck", "missing bool value for CompactHashCheck"),
    ("feature-gates", "CompactHashCheck=on", "invalid value of CompactHashCheck=on"),
    (
        "feature-gates",
        "PriorityRequest=true",
        "cannot set feature gate PriorityRequest to true, feature is locked to false",
    ),
]


@pytest.mark.parametrize(("name", "text", "said"), WRONG)
def test_wrong_values(name: str, text: str, said: str) -> None:
    """The message names the setting and says what would be right."""
    with pytest.raises(ConfigError, match=said) as caught:
        configure({name: text}, {})
    assert name in str(caught.value)


def test_one_way_to_name_the_members() -> None:
    """Which of two was meant cannot be known."""
    with pytest.raises(ConfigError, match='Choose one of "initial-cluster" or "discovery-srv"'):
        configure({"initial-cluster": "a=http://127.0.0.1:1", "discovery-srv": "example.com"}, {})


def test_short_timeouts_of_peers_are_raised() -> None:
    """As etcd does, with a warning; an embedding program may choose less."""
    config, warnings = configure({"raft-read-timeout": "1s", "raft-write-timeout": "6s"}, {})
    assert (config.raft_read_timeout, config.raft_write_timeout) == (5.0, 6.0)
    assert warnings == ["raft-read-timeout increased to minimum value: 5s"]
    assert Config(raft_read_timeout=0.5).raft_read_timeout == 0.5


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("", set()),
        ("CompactHashCheck=true", {"CompactHashCheck"}),
        ("CompactHashCheck=t, InitialCorruptCheck=1,", {"CompactHashCheck", "InitialCorruptCheck"}),
        ("AllAlpha=true", {"CompactHashCheck", "InitialCorruptCheck"}),
        ("CompactHashCheck=false,AllAlpha=true", {"InitialCorruptCheck"}),
        ("AllAlpha=true,CompactHashCheck=false", {"InitialCorruptCheck"}),
        ("AllAlpha=false,CompactHashCheck=true", {"CompactHashCheck"}),
        ("AllBeta=true", set()),
        ("FastLeaseKeepAlive=true,LeaseCheckpoint=True", set()),
    ],
)
def test_feature_gates(text: str, on: set[str]) -> None:
    """What is not named follows AllAlpha; locked gates may be set to what they are."""
    gates = features.parse(text)
    assert {name for name in gates if gates[name]} == on
    assert all(features.enabled(text, name) is gates[name] for name in gates)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'a'\ndata-dri = 'x'\n", r"line 2, data-dri: .* did you mean 'data-dir'\?"),
        ("# x\n\n'max-txn-op' = 1\n", r"line 3, max-txn-op: .* did you mean 'max-txn-ops'\?"),
        ("zzzzzzzz = 1\n", r"line 1, zzzzzzzz: there is no such setting$"),
        ("[client]\nname = 'x'\n", "line 1, client: there is no such setting"),
        ("\nname = \n", "line 2"),
        ("name = 'a'\nname = 'b'\n", "line 2"),
        ("pre-vote = 'maybe'\n", "line 1, pre-vote: 'maybe' is neither true nor false"),
        ("name = ['a']\n", r"line 1, name: \['a'\] is not a text"),
        ("max-txn-ops = true\n", "line 1, max-txn-ops: True is not a whole number"),
        ("backend-batch-interval = 100\n", 'line 1, .* with a unit, such as "100ms"'),
    ],
)
def test_wrong_files(text: str, said: str, tmp_path: Path) -> None:
    """The message has the file, the line and the key."""
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=said) as caught:
        configure({"config-file": str(file)}, {})
    assert str(file) in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that is not there, is a folder, or is not text."""
    with pytest.raises(ConfigError, match="absent: No such file"):
        configure({"config-file": str(tmp_path / "absent")}, {})
    with pytest.raises(ConfigError, match="Is a directory"):
        configure({"config-file": str(tmp_path)}, {})
    (tmp_path / "binary").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        configure({"config-file": str(tmp_path / "binary")}, {})


# --- what the command says of itself ------------------------------------------------------------


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str, str]]:
    """Run the command up to where it would start: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        said = capsys.readouterr()
        return caught.value.code, said.out, said.err

    return run


def test_version(run: Callable[..., tuple[object, str, str]]) -> None:
    """etcd's four lines, which scripts cut apart."""
    code, out, _ = run("--version")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "etcd Version",
        "Git SHA",
        "Go Version",
        "Go OS/Arch",
    ]
    assert re.match(r"etcd Version: 3\.6\.\d+\n", out)


def test_help(run: Callable[..., tuple[object, str, str]]) -> None:
    """Every setting with its default."""
    code, out, _ = run("--help")
    assert code == 0
    assert run("-h") == (0, out, "")
    assert [name for name in NAMES if f"--{name} '" not in out] == []
    assert "--election-timeout '1000'" in out
    assert "--backend-batch-interval '100ms'" in out


def test_unknown_flag(run: Callable[..., tuple[object, str, str]]) -> None:
    """Exit code 2, and the nearest one that exists."""
    code, _, err = run("--data-dri", "x")
    assert code == 2
    assert "--data-dri" in err
    assert "--data-dir" in err


@pytest.mark.parametrize("words", [["--name"], ["words"]])
def test_wrong_usage(words: list[str], run: Callable[..., tuple[object, str, str]]) -> None:
    """A flag without its value, and arguments that nobody asked for."""
    assert run(*words)[0] == 2
