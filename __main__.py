"""`python -m triode` is the daemon."""

from __future__ import annotations

from .cli.daemon import main

main()
