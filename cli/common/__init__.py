"""What both command line tools stand on: pflag's grammar, Go's texts, output, tables."""

from __future__ import annotations
