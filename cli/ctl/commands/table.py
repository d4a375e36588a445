"""Which module has which top command: `COMMANDS` there lists it and all below it.

Only the module of the command that is called is loaded; help and completion load them all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MODULES"]

MODULES: Final = {
    "options": ".commands.about",
    "version": ".commands.about",
}
