"""Which module has which top command: `COMMANDS` there lists it and all below it.

Only the module of the command that is called is loaded; help and completion load them all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MODULES"]

MODULES: Final = {
    "alarm": ".commands.alarm",
    "auth": ".commands.auth",
    "check": ".commands.check",
    "compaction": ".commands.compaction",
    "completion": ".commands.about",
    "defrag": ".commands.defrag",
    "del": ".commands.delete",
    "downgrade": ".commands.downgrade",
    "elect": ".commands.elect",
    "endpoint": ".commands.endpoint",
    "get": ".commands.get",
    "lease": ".commands.lease",
    "lock": ".commands.lock",
    "make-mirror": ".commands.make_mirror",
    "member": ".commands.member",
    "move-leader": ".commands.move_leader",
    "options": ".commands.about",
    "put": ".commands.put",
    "role": ".commands.role",
    "snapshot": ".commands.snapshot",
    "top": ".commands.top",
    "tree": ".commands.tree",
    "txn": ".commands.txn",
    "user": ".commands.user",
    "version": ".commands.about",
    "watch": ".commands.watch",
}
