"""What the actor kernel raises: a caller's errors (`ActorError`) and a tree's end (`TreeFailed`)."""

from __future__ import annotations

from ..errors import TriodeError

__all__ = [
    "ActorError",
    "ActorFailed",
    "ActorStopped",
    "AskTimeout",
    "MailboxClosed",
    "MailboxFull",
    "NameTaken",
    "RestartsExceeded",
    "StartFailed",
    "TreeFailed",
]


class ActorError(TriodeError):
    """The root of the kernel's errors."""


class MailboxFull(ActorError):
    """The mailbox holds `messages_max` messages: shed the message, or wait with `put`."""


class MailboxClosed(ActorError):
    """The mailbox takes no more messages: its actor was asked to stop, or has stopped."""


class ActorStopped(MailboxClosed):
    """The actor stopped, or crashed with the request in hand: it may or may not have acted on it.

    After a crash `__cause__` is the actor's error.
    """


class AskTimeout(ActorError):
    """No reply within the time given to `ask`: the request may still be acted on."""


class NameTaken(ActorError):
    """The supervisor has a child of this name: names are unique among siblings."""


class TreeFailed(ActorError):
    """A supervisor could not go on; `__cause__` is the error of the actor that is to blame.

    `fatal` failures pass through every supervisor above, whatever its restart policy.
    """

    fatal: bool = False


class ActorFailed(TreeFailed):
    """An actor that must not be restarted (`Restart.NEVER`) failed: the whole tree stops."""

    fatal = True


class StartFailed(TreeFailed):
    """An actor's `started()` failed; what had been started before it was taken down again."""


class RestartsExceeded(TreeFailed):
    """More than `restarts_max` restarts within `window_seconds`: restarting does not help."""
