"""`check`: whether the files of a member fit together."""

from __future__ import annotations

from pathlib import Path

from ...common.command import Command, Invocation
from ...common.exits import ERROR
from ...common.flags import Flag
from ..examination import Finding, examine_member
from ..locks import reading
from ..places import find_member
from ..printing import format_of, print_json

__all__ = ["COMMANDS"]


def check(call: Invocation) -> int:
    """Exit code 1 if there is a problem."""
    as_json = format_of(call, "simple", "json") == "json"
    wal_dir = call.flags.text("wal-dir")
    member = find_member(Path(call.arguments[0]), Path(wal_dir) if wal_dir else None)
    findings: list[Finding] = []
    with reading(member, call.flags.seconds("timeout")):
        for finding in examine_member(member):
            findings.append(finding)
            if not as_json:
                call.out.line(str(finding))
                call.out.flush()
    problems = sum(not finding.note for finding in findings)
    if as_json:
        listed = [
            {"area": f.area, "where": f.where, "what": f.what, "note": f.note} for f in findings
        ]
        print_json(
            call, {"dataDir": str(member.data_dir), "problems": problems, "findings": listed}
        )
    else:
        notes = len(findings) - problems
        call.out.line(f"{member.data_dir}: {_count(problems, 'problem')}, {_count(notes, 'note')}")
    return ERROR if problems else 0


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


COMMANDS = (
    Command(
        "check",
        "check <data directory>",
        "Checks whether the files of a member fit together",
        run=check,
        arguments=(1, 1),
        long=(
            "Looks at every page and row of the database, every record of the log, and at one against the other:\n"
            "history and versions of keys, leases, members, users, terms and positions. It changes nothing. Problems are\n"
            "what a start would refuse or could go wrong with, and make the exit code 1; notes are worth knowing."
        ),
        example="  triodeutl check default.triode\n  triodeutl check default.etcd -w json",
        flags=(
            Flag.text("wal-dir", "the log's directory, if it is not inside of the data directory"),
        ),
    ),
)
