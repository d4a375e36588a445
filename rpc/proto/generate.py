"""Compile `rpc/proto/*.proto` into `rpc/pb`: `make proto`, or `--check` to compare only.

protoc (from `grpcio-tools`, a development dependency) parses the files and writes the type stubs. The
modules themselves are written here: a serialized descriptor and a call of `_pool.load`, because
protoc's own modules register in the process-wide default pool (see `rpc/pb/_pool.py`), import their
siblings absolutely, and demand a runtime as new as the compiler.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

PROTO = Path(__file__).resolve().parent
PB = PROTO.parent / "pb"
BYTES_PER_LINE = 72


def generate() -> dict[str, str]:
    """Compile everything: file name in `rpc/pb` -> text."""
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    sources = sorted(path.name for path in PROTO.glob("*.proto"))
    with tempfile.TemporaryDirectory() as directory:
        descriptors = Path(directory) / "all.binpb"
        arguments = [f"--descriptor_set_out={descriptors}", f"--pyi_out={directory}"]
        if protoc.main(["protoc", f"-I{PROTO}", *arguments, *sources]) != 0:
            raise SystemExit("protoc failed")
        compiled = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
        stubs = {path.name: path.read_text() for path in Path(directory).glob("*.pyi")}
    made = {name: _stub(text) for name, text in stubs.items()}
    for file in compiled.file:
        made[_module(file.name) + ".py"] = _source(file)
    return made


def _module(proto: str) -> str:
    return proto.removesuffix(".proto") + "_pb2"


def _source(file: FileDescriptorProto) -> str:
    """The module of one file."""
    imports = "".join(f"from . import {_module(name)}  # noqa: F401\n" for name in file.dependency)
    return (
        f'"""Generated from {file.name} by rpc/proto/generate.py. Do not edit."""\n\n'
        "from __future__ import annotations\n\n"
        f"{imports}from ._pool import load\n\n"
        f"DESCRIPTOR = load(\n    __name__,\n    globals(),\n{_literal(file)})\n"
    )


def _literal(file: FileDescriptorProto) -> str:
    data = file.SerializeToString(deterministic=True)
    lines = (data[at : at + BYTES_PER_LINE] for at in range(0, len(data), BYTES_PER_LINE))
    return "".join(f"    {line!r}\n" for line in lines)


def _stub(text: str) -> str:
    """Make protoc's stub fit: relative imports, no untyped rest for mypy, enums as plain int too."""
    text = re.sub(r"^import (\w+_pb2) as", r"from . import \1 as", text, flags=re.MULTILINE)
    text = re.sub(r"\b_Mapping\b(?=\])", "_Mapping[str, _Any]", text)
    text = re.sub(r"_Union\[([\w.]+), str\]", r"_Union[\1, str, int]", text)
    text = text.replace("**kwargs)", "**kwargs: _Any)")
    return re.sub(
        r"^from typing import ", "from typing import Any as _Any, ", text, flags=re.MULTILINE
    )


def stale(made: dict[str, str]) -> list[str]:
    """Names of files that are missing, different or left over in `rpc/pb`."""
    present = {path.name: path.read_text() for path in PB.glob("*_pb2.py*")}
    return sorted(n for n in made.keys() | present.keys() if made.get(n) != present.get(n))


def main() -> int:
    """Run from the command line; the exit status of `--check` is 1 when something is stale."""
    parser = argparse.ArgumentParser(description="compile rpc/proto into rpc/pb")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    check = parser.parse_args().check
    made = generate()
    different = stale(made)
    for name in different:
        print(("stale: " if check else "wrote ") + f"rpc/pb/{name}")
        if check:
            continue
        if name in made:
            (PB / name).write_text(made[name])
        else:
            (PB / name).unlink()
    return int(check and bool(different))


if __name__ == "__main__":
    sys.exit(main())
