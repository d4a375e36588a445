"""The one rule of the house: who may import whom, and which folders stay pure."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "raft": {"raft", "errors", "protowire"},
    "backends": {"backends", "errors"},
    "mvcc": {"mvcc", "backends", "errors", "protowire"},
    "rpc": {"rpc", "errors", "protowire"},
    "auth": {"auth", "backends", "errors", "protowire"},
    "client": {"client", "rpc", "errors", "version"},
    "testing": {
        "testing",
        "actors",
        "backends",
        "client",
        "config",
        "errors",
        "mvcc",
        "raft",
        "rpc",
    },
    "actors": {
        "actors",
        "auth",
        "backends",
        "config",
        "errors",
        "features",
        "mvcc",
        "protowire",
        "raft",
        "rpc",
        "version",
    },
}
# The door from a node to the client is opened when somebody calls `Node.client`, and costs nothing before.
DOORS = {"actors/node.py": {"client"}, "actors/node_client.py": {"client"}}
PURE = ("raft", "backends", "mvcc", "rpc", "auth")
IMPURE_MODULES = {"asyncio", "random", "secrets", "socket", "threading", "time", "trio"}
# The kernel of actors is worth using on its own: it must not know of etcd.
KERNEL = {
    "actor",
    "cell",
    "errors",
    "life",
    "mailbox",
    "policy",
    "ref",
    "reply",
    "running",
    "supervisor",
    "tree",
}


def sources(folder: str) -> list[Path]:
    return sorted(p for p in (ROOT / folder).rglob("*.py") if not p.name.endswith("_pb2.py"))


def imports(path: Path) -> Iterator[str]:
    """What a module imports: outside names plain, our own with a leading dot, from the root."""
    package = path.parent.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                assert node.module is not None
                yield node.module
                continue
            base = package[: len(package) - node.level + 1]
            parts = (*base, *(node.module.split(".") if node.module else ()))
            if parts:
                yield "." + ".".join(parts)
            else:
                yield from ("." + alias.name for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    """Each layer knows only the layers below it."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imports(path)
        if name.startswith(".")
        and name[1:].split(".")[0]
        not in FOLDERS[folder] | DOORS.get(str(path.relative_to(ROOT)), set())
    ]
    assert not wrong


@pytest.mark.parametrize("folder", PURE)
def test_pure_folders_have_no_clock_chance_thread_or_socket(folder: str) -> None:
    """Time, random numbers and bytes are handed in, so that a simulation can."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imports(path)
        if name.split(".")[0] in IMPURE_MODULES
    ]
    assert not wrong


def test_inside_the_package_imports_are_relative() -> None:
    """The folder is the package: its own name must not matter."""
    files = [path for folder in (*FOLDERS, "cli") for path in sources(folder)]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in [*files, *ROOT.glob("*.py")]
        for name in imports(path)
        if name.split(".")[0] == "triode"
    ]
    assert not wrong


def test_the_actor_kernel_knows_nothing_of_etcd() -> None:
    """It may import itself and the root of all errors."""
    wrong = [
        f"{name} imports {imported}"
        for name in sorted(KERNEL)
        for imported in imports(ROOT / "actors" / f"{name}.py")
        if imported.startswith(".")
        and imported not in {".errors", *(f".actors.{one}" for one in KERNEL)}
    ]
    assert not wrong


def test_a_node_loads_no_client() -> None:
    """A daemon has no use for one."""
    program = "import sys, triode; triode.open_node\nprint('triode.client' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("folder", ["raft", "mvcc", "rpc", "backends"])
def test_importing_a_layer_loads_no_other_layer(folder: str) -> None:
    """What the source says holds at run time as well."""
    program = (
        f"import sys, triode.{folder}\n"
        "print(*sorted({n.split('.')[1] for n in sys.modules if n.startswith('triode.')}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= FOLDERS[folder] | {"version"}
