"""What can be set, called, met or seen is in the documentation; and what is in it is true."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import triode
from triode import errors
from triode.actors.grpc_metrics import GrpcMetrics
from triode.actors.metrics import Metrics, process_families
from triode.cli.ctl import main as ctl
from triode.cli.utl import main as utl
from triode.rpc.methods import METHODS
from triode.rpc.metrics_text import families
from triode.settings import NOT_YET

ROOT = Path(__file__).parents[2]
Pages = dict[str, str]
OTHERS = {
    "--kills",
    "--side",
    "--prefix",
    "--rev",
    "--full",
    "--memory",
    "--durable",
    "--one-core",
    "--layouts",
    "--against",
    "--rounds",
}  # of etcdctl and the benchmarks
OTHERS |= {"--kills", "--side", "--endpoints"}  # of the benchmarks of clusters, and of etcdctl
OTHERS |= {"--rewrite", "--seed", "--seeds", "--trace", "--processes"}  # of the simulators
OTHERS |= {"--only", "--search"}  # of the benchmarks, and of the mutants


def missing(names: list[str], page: str) -> list[str]:
    """Names that are not on a page in backticks."""
    return [name for name in names if not re.search(rf"`(?:--)?{re.escape(name)}`", page)]


def test_every_setting(pages: Pages) -> None:
    names = [field.name.replace("_", "-") for field in attrs.fields(triode.Config)]
    assert missing([*names, *NOT_YET], pages["docs/configuration.md"]) == []


def test_every_rpc(pages: Pages) -> None:
    assert missing(list(METHODS), pages["docs/rpc-api.md"]) == []


def test_every_error(pages: Pages) -> None:
    abstract = {"TriodeError", "NodeError"}
    names = [
        name
        for name, each in vars(errors).items()
        if isinstance(each, type)
        and issubclass(each, errors.TriodeError)
        and name not in abstract
        and not name.startswith("_")
    ]
    assert len(names) > 60
    assert missing(names, pages["docs/rpc-api.md"]) == []


def rows_of(page: str) -> dict[str, tuple[str, ...]]:
    """The first cell of each row of a table with the others, without backticks."""
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): tuple(cell.strip(" ") for cell in row[1:]) for row in rows}


def all_metrics(pages: Pages) -> str:
    return pages["docs/metrics.md"].partition("## All metrics")[2].partition("\n## ")[0]


def test_every_metric(pages: Pages) -> None:
    """Each has a row that says its type, labels and meaning as the code does."""
    rows = rows_of(all_metrics(pages))
    for metrics in (Metrics, GrpcMetrics):
        for about in metrics._descriptions.values():
            labels = ", ".join(f"`{label}`" for label in about.labels)
            assert rows[about.name] == (about.kind, labels, about.help)
    process = {family.name for family in process_families() if not family.name.startswith("os_fd")}
    assert process <= rows.keys()


def test_no_metric_that_is_gone(pages: Pages) -> None:
    shown = {family.name for metrics in (Metrics(), GrpcMetrics()) for family in families(metrics)}
    shown |= {family.name for family in process_families()}
    assert rows_of(all_metrics(pages)).keys() <= shown


def test_alerts_read_metrics_that_are_there(pages: Pages) -> None:
    page = pages["docs/metrics.md"].partition("## What to alert on")[2].partition("\n## ")[0]
    shown = {family.name for metrics in (Metrics(), GrpcMetrics()) for family in families(metrics)}
    shown |= {family.name for family in process_families()}
    named = set(re.findall(r"\b((?:etcd|grpc|process)_[a-z_]+)", page))
    assert len(named) > 10
    assert named <= shown


@pytest.fixture
async def node() -> AsyncIterator[Any]:
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with triode.open_node(config) as opened:
        yield opened


async def test_every_actor_of_a_node(pages: Pages, node: Any) -> None:
    """With its mailbox: the table in docs/actors.md is what the tree shows."""
    rows = rows_of(pages["docs/actors.md"].partition("## The node's actors")[2])
    children = {actor.name: actor for actor in node.supervisor.children}
    assert len(children) > 10
    assert children.keys() <= rows.keys()
    for name, actor in children.items():
        found = re.match(r"[\d ]+", rows[name][2])
        if found and found[0].strip():
            assert int(found[0].replace(" ", "")) == actor.mailbox_messages_max, name
    modules = [module for row in rows.values() for module in re.findall(r"`(\w+\.py)`", row[0])]
    assert len(modules) > 10
    assert [module for module in modules if not (ROOT / "actors" / module).exists()] == []


def folders() -> list[str]:
    packages = [path.parent for path in ROOT.glob("*/**/__init__.py")]
    names = {path.relative_to(ROOT) for path in packages}
    skipped = {".tree", ".venv", "tests", "build"}
    return sorted(str(name) for name in names if name.parts[0] not in skipped)


def test_every_folder(pages: Pages) -> None:
    """Each folder with code is named on a page, with a slash or as a part of a path."""
    everything = "\n".join(pages.values())
    assert "raft" in folders()
    assert [
        name
        for name in folders()
        if f"`{name}/" not in everything and f"`{name}`" not in everything
    ] == []


def test_every_page_can_be_found(pages: Pages) -> None:
    """From the README, by way of the pages that it leads to."""
    reached = {"README.md"}
    waiting = ["README.md"]
    while waiting:
        page = waiting.pop()
        for target in links(pages[page]):
            path = str(((ROOT / page).parent / target).resolve().relative_to(ROOT))
            if path in pages and path not in reached:
                reached.add(path)
                waiting.append(path)
    assert reached == pages.keys()


# --- links, code and commands ---------------------------------------------------------------------


def links(page: str) -> list[str]:
    """Relative targets, without what comes behind a #."""
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [t.partition("#")[0] for t in targets if "://" not in t and not t.startswith("#")]


def test_every_link_leads_somewhere(pages: Pages) -> None:
    checked = 0
    for name, page in pages.items():
        for target in links(page):
            assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"
            checked += 1
    assert checked > 20


def test_every_anchor_is_a_heading(pages: Pages) -> None:
    for name, page in pages.items():
        for target, anchor in re.findall(r"\]\(([^)\s#]*)#([^)\s]+)\)", page):
            if "://" in target:
                continue
            path = ((ROOT / name).parent / target).resolve() if target else ROOT / name
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{name}: {target}#{anchor}"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_python_compiles(pages: Pages) -> None:
    found = [(name, code) for name, page in pages.items() for code in blocks(page, "python")]
    assert len(found) > 5
    for name, code in found:
        compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("name", ["README.md", "docs/metrics.md"])
def test_python_runs(
    name: str, pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole programs; the other pages' examples are run by the tests of their parts."""
    monkeypatch.chdir(tmp_path)
    programs = [code for code in blocks(pages[name], "python") if "trio.run(" in code]
    assert programs
    for code in programs:
        exec(compile(code, name, "exec"), {"__name__": "example"})


def commands(page: str) -> list[str]:
    console = "\n".join(blocks(page, "console") + blocks(page, "sh"))
    typed = [line[2:] for line in console.splitlines() if line.startswith("$ ")]
    return [line.partition("  #")[0].strip() for line in typed] + re.findall(
        r"`((?:make|python|triode|python3|\.venv/bin/python) [^`]+)`", page
    )


def flags_of_tools() -> set[str]:
    """Of triodectl and triodeutl."""
    return {
        f"--{flag.name}"
        for program in (ctl.PROGRAM, utl.PROGRAM)
        for flags in (program.flags, *(each.flags for each in program.commands()))
        for flag in flags
    }


def test_commands_exist(pages: Pages) -> None:
    """Targets of make, modules to run, flags of the daemon."""
    makefile = (ROOT / "Makefile").read_text()
    flags = {"--" + field.name.replace("_", "-") for field in attrs.fields(triode.Config)}
    flags |= {"--config-file", "--version", "--help"}
    checks: dict[str, Callable[[str], bool]] = {
        r"^make ([a-z-]+)": lambda target: f"\n{target}:" in makefile,
        r"python3? -m (benchmarks\.\w+)": lambda module: (
            ROOT / (module.replace(".", "/") + ".py")
        ).exists(),
        r"python3? ((?:benchmarks|docs|rpc|tests)/\S+\.py)": lambda path: (ROOT / path).exists(),
        r"^(?:\w+=\S+ )?triode .*?(--[a-z-]+)": lambda flag: flag in flags,
    }
    matched = 0
    for name, page in pages.items():
        for command in commands(page):
            for pattern, exists in checks.items():
                for argument in re.findall(pattern, command):
                    assert exists(argument), f"{name}: {command}"
                    matched += 1
    assert matched > 10
    everything = "\n".join(pages.values())
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+[a-z]", everything))
    foreign = named - flags - {"--" + name for name in NOT_YET} - flags_of_tools()
    assert foreign <= OTHERS
