"""Scripts of membership changes on a bare configuration."""

from __future__ import annotations

from triode.raft.confchange import Changer
from triode.raft.errors import RaftError
from triode.raft.tracker import ProgressTracker

from .format import Directive, conf_changes, flag

__all__ = ["COMMANDS", "ConfChanges"]

COMMANDS = frozenset(("simple", "enter-joint", "leave-joint"))


class ConfChanges:
    """`simple`, `enter-joint` and `leave-joint`, one after the other on one configuration."""

    def __init__(self) -> None:
        self.tracker = ProgressTracker(10, 0)
        self.last_index = 0

    def __call__(self, directive: Directive) -> str:
        changer = Changer(self.tracker, self.last_index)
        self.last_index += 1
        try:
            changes = conf_changes(directive.input)
            if directive.name == "simple":
                result = changer.simple(changes)
            elif directive.name == "enter-joint":
                result = changer.enter_joint(flag(directive, "autoleave"), changes)
            elif directive.name != "leave-joint":
                return "unknown command"
            elif changes:
                return "this command takes no input"
            else:
                result = changer.leave_joint()
        except (RaftError, ValueError) as error:
            return str(error)
        self.tracker.switch(*result)
        progress = (f"{node}: {one}\n" for node, one in self.tracker.progress.items())
        return f"{self.tracker.config}\n{''.join(progress)}"
