"""What is true of children of a process that has imported everything is true of processes of their own.

A part of the script `notes` and some lines on streams and exit codes, with the installed `triodectl`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.etcd
SCRIPT = """
endpoint health
-w table member list
put hello word
get hello
get hello -w fields
start watching: watch --prefix=true hello
watchers 1
put hello1
| from standard input
lines watching 4
stop watching
lease = lease grant 60
put /hb/etcd/lease lease --lease={lease}
lease timetolive {lease} --keys
lease revoke {lease}
txn
| value("hello") = "word"
|
| get hello
|
|
lock name -- sh -c "exit 7"
get
get a --nonsense
nonsense
"""


def test_same_words(
    launch_triode: Callable[..., Any], run_script: Callable[..., Any], tools: Any, triodectl: Any
) -> None:
    flags = ("--initial-advertise-peer-urls", "http://127.0.0.1:55557")
    said = []
    for tool in (triodectl, tools.TRIODECTL):
        server = launch_triode(*flags, backend="memory")
        said.append(run_script(tool, server.address, SCRIPT))
    assert said[0] == said[1]


def test_every_module_is_found(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commands are loaded one by one; each of them comes with what it needs."""
    folder = tmp_path_factory.mktemp("processes")
    for line in (
        "member --help",
        "check perf --load x",
        "top --help",
        "user add",
        "completion bash",
    ):
        done = tools.run(
            tools.TRIODECTL,
            shlex.split(line),
            stdin=b"",
            environment=tools.ENVIRONMENT,
            folder=folder,
        )
        assert b"Traceback" not in done.stderr
        assert done.code in {0, 4, 128}
