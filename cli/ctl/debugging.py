"""`--debug`: what the flags have come to be."""

from __future__ import annotations

from ..common.errors import complain
from ..common.flags import FlagValues
from .environment import variable_of
from .global_flags import GLOBAL_FLAGS

__all__ = ["show_flags"]


def show_flags(flags: FlagValues) -> None:
    """Say on stderr what every global flag is, by its variable."""
    for flag in sorted(GLOBAL_FLAGS, key=lambda each: each.name):
        value = flag.shown_value(flags.value(flag.name))
        complain(f"{variable_of(flag.name)}={value}", prefix="")
