"""Which module has which top command: `COMMANDS` there lists it and all below it.

Only the module of the command that is called is loaded; help and completion load them all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MODULES"]

# In etcdctl's order, which is that of its suggestions; then what it has not.
MODULES: Final = {
    "get": ".commands.get",
    "put": ".commands.put",
    "del": ".commands.delete",
    "txn": ".commands.txn",
    "compaction": ".commands.compaction",
    "alarm": ".commands.alarm",
    "defrag": ".commands.defrag",
    "endpoint": ".commands.endpoint",
    "move-leader": ".commands.move_leader",
    "watch": ".commands.watch",
    "version": ".commands.about",
    "lease": ".commands.lease",
    "member": ".commands.member",
    "snapshot": ".commands.snapshot",
    "make-mirror": ".commands.make_mirror",
    "lock": ".commands.lock",
    "elect": ".commands.elect",
    "auth": ".commands.auth",
    "user": ".commands.user",
    "role": ".commands.role",
    "check": ".commands.check",
    "completion": ".commands.about",
    "downgrade": ".commands.downgrade",
    "options": ".commands.about",
    "top": ".commands.top",
    "tree": ".commands.tree",
}
