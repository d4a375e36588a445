"""`python -m triode.cli.utl`."""

from __future__ import annotations

from .main import main

main()
