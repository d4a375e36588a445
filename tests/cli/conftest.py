"""Starting the daemon where it is expected to end by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def refused() -> Callable[..., dict[str, Any]]:
    """Run the daemon, which must end with exit code 1; returns its last line of log."""

    def refused(*arguments: str, listen: str = "http://127.0.0.1:0") -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "triode", "--listen-client-urls", listen, *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            env={k: v for k, v in os.environ.items() if not k.startswith("TRIODE_")},
        )
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        line: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
        assert line["level"] == "error"
        return line

    return refused
