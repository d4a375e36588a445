from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from triode.backends.lock import lock_directory, lock_file
from triode.errors import DataDirLocked, StorageError


def test_two_nodes_of_one_process_collide(tmp_path: Path) -> None:
    with lock_directory(tmp_path), pytest.raises(DataDirLocked) as caught:
        lock_directory(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    with lock_directory(tmp_path):
        pass


def test_another_process_holds_it_until_it_dies(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from triode.backends.lock import lock_directory;"
        "lock = lock_directory(pathlib.Path(sys.argv[1])); print('held', flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DataDirLocked, match=f"process {process.pid}"):
            lock_directory(tmp_path)
        process.kill()
        process.wait()
    lock_directory(tmp_path).release()


def test_files_are_locked_one_by_one(tmp_path: Path) -> None:
    with lock_directory(tmp_path), lock_file(tmp_path / "a"), lock_file(tmp_path / "b") as b:
        with pytest.raises(DataDirLocked, match="/a is"):
            lock_file(tmp_path / "a")
        b.release()
        b.release()
        lock_file(tmp_path / "b").release()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        lock_directory(tmp_path / "nowhere")
