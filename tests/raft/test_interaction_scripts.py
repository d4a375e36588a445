"""The interaction scripts of etcd-io/raft and our own, to the letter: states, messages, log lines.

Ours, in `scripts/`, take the paths that the others do not: their outputs were held against the
Go source line by line when they were written.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from raftscripts.cluster import COMMANDS  # type: ignore[import-not-found]
from raftscripts.format import (  # type: ignore[import-not-found]
    BadScript,
    Directive,
    parse,
)
from raftscripts.run import main, play, scripts_in  # type: ignore[import-not-found]

from triode.raft import InvariantBroken

HERE = Path(__file__).parent
OURS = HERE / "scripts"
THEIRS = HERE.parents[2] / "shared" / "raft-interaction"


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", [*scripts_in(THEIRS), *scripts_in(OURS)], ids=_name)
def test_a_script_gives_what_it_expects(path: Path) -> None:
    failure = play(path)
    assert failure is None, f"{path.name}: {failure.text}"


def test_our_scripts_use_every_command() -> None:
    used = {d.name for path in scripts_in(OURS) for d in parse(path.read_text())}
    assert used >= COMMANDS.keys()


# --- The runner -----------------------------------------------------------------------------------


def test_a_directory_is_played_with_one_line_per_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "bad.txt").write_text("log-level none\n----\nnot ok\n")
    (tmp_path / ".hidden.txt").write_text("nonsense")
    (tmp_path / "README.md").write_text("no script")
    (tmp_path / "good.txt").write_text(
        "log-level none\n----\nok\n\nsimple\n----\nunknown command\n"
    )
    assert main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "FAILED  deep/er/bad.txt"
    assert "        -not ok" in lines
    assert "        +ok" in lines
    assert lines[-2:] == ["passed  good.txt", "1 passed, 1 failed"]


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("committed cfg=(1,2) idx=(3,4)\n----\nwrong\n")
    done = subprocess.run(
        [sys.executable, HERE / "run_scripts.py", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "0 passed, 1 failed" in done.stdout
    assert main([str(OURS)]) == 0
    assert main([]) == 2
    assert main([str(tmp_path / "missing")]) == 2


def test_rewriting_keeps_everything_but_the_outputs(tmp_path: Path) -> None:
    script = tmp_path / "one.txt"
    script.write_text(
        "# why\nlog-level \\\n  none\n----\n\n# next\nlog-level x\n----\nold\nlines\n"
    )
    assert play(script) is not None
    assert play(script, rewrite=True) is None
    assert play(script) is None
    assert script.read_text() == (
        "# why\nlog-level \\\n  none\n----\nok\n\n# next\nlog-level x\n----\n"
        "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]\n"
    )


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("campaign 7", "campaign: there is no node 7"),
        ("campaign", "campaign: no node id is given"),
        ("campaign x", "campaign: 'x' is not a number"),
        ("add-nodes", "add-nodes: the number of nodes is missing"),
        ("add-nodes 1 voters=(1 2) index=2", "add-nodes: '1 2' is not a number"),
        ("add-nodes 1 colour=red", "add-nodes: unknown option colour"),
        ("add-nodes 1 prevote=maybe", "prevote: strconv.ParseBool"),
        ("add-nodes 1 read-only=lease-based", "nodes cannot be made so: CheckQuorum must be"),
        ("deliver-msgs 1 type=MsgNone", "deliver-msgs: unknown message type MsgNone"),
        ("deliver-msgs 1 drop=(2,1)", "can't both deliver and drop msgs to 1"),
        ("transfer-leadership from=1", "transfer-leadership: 'none' is not a number"),
        ("set-randomized-election-timeout 1 timeout=0", "timeout must not be 0"),
        ("vote cfg=(1) votes=(x)", "vote: unknown vote x"),
        ("committed cfg=(1) idx=(0)", "committed: cannot use 0 as idx"),
        ("campaign (1", "a parenthesis is not closed"),
    ],
)
def test_a_wrong_command_is_told_and_where(tmp_path: Path, script: str, says: str) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(f"# a comment\n{script}\n----\nok\n")
    failure = play(path)
    assert failure is not None
    assert failure.text.startswith("line 2: ")
    assert says in failure.text


def test_a_node_that_breaks_an_invariant_fails_its_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InvariantBroken("the log was lost")

    monkeypatch.setitem(COMMANDS, "campaign", broken)
    path = tmp_path / "broken.txt"
    path.write_text("campaign 1\n----\nok\n")
    failure = play(path)
    assert failure is not None
    assert failure.text == "line 1: campaign: the node stops: the log was lost"


# --- The format -----------------------------------------------------------------------------------


def test_outputs_with_empty_lines_are_between_two_pairs_of_separators() -> None:
    (one, two) = parse(
        "a 1 k=(x, y) z=\nin put\n----\n----\nout\n\nput\n----\n----\n\nsubtest s\n\nb\n----"
    )
    assert one == Directive(
        1, "a", [("1", []), ("k", ["x", "y"]), ("z", [""])], "in put", "out\n\nput\n"
    )
    assert (two.name, two.expected) == ("b", "")


@pytest.mark.parametrize("text", ["a\n", "a\n----\n----\nb\n", "a\n----\n----\n----\n----\nb\n"])
def test_a_script_that_is_cut_is_refused(text: str) -> None:
    with pytest.raises(BadScript):
        list(parse(text))
