"""What clients did and saw: the records that the checkers judge.

Times are *stamps*: integers in nanoseconds from the start of the run that never repeat and grow with each event
of the whole run. So "returned before the other was called" is exact even in a simulation, in which whole
conversations take no time at all.

What became of an operation:

* `response` is set: the client was answered (an error that is a result is a `Refused`);
* `returned` is None: nobody knows; it may have been done, it may be done later still, or never;
* `failed` is set: it surely never happens (the connection was refused, the server said so before
  it proposed). Checkers look away.
"""

from __future__ import annotations

import attrs

from .requests import (
    Deleted,
    Got,
    KeyValue,
    PutDone,
    Refused,
    Request,
    Response,
    Result,
    TxnDone,
    within,
)

__all__ = ["Event", "History", "Operation", "Watch", "WatchRequest", "WatchResponse", "seconds"]

STAMPS_PER_SECOND = 1_000_000_000


def seconds(stamp: int) -> float:
    """A stamp as seconds from the start of the run."""
    return stamp / STAMPS_PER_SECOND


@attrs.frozen
class Operation:
    """One unary call of a client.

    Attributes:
        client: who called; a client makes one call after the other.
        call: the stamp when the request left.
        returned: the stamp when the answer came, None if none did.
        response: what was answered.
        revision: the revision in the answer's header; 0 if unknown.
        member: whom the client asked: the member's ID or its place, as the workload likes; 0 if unknown.
        error: why there is no response.
        failed: the call surely has no effect, now or later.
    """

    client: int
    request: Request
    call: int
    returned: int | None = None
    response: Response | None = None
    revision: int = 0
    member: int = 0
    error: str = ""
    failed: bool = False

    @property
    def known(self) -> bool:
        """Whether it was answered."""
        return self.response is not None


@attrs.frozen
class Event:
    """One change that a watch told. For a deletion, `kv` has the key and the mod_revision only."""

    deleted: bool
    kv: KeyValue
    prev: KeyValue | None = None

    @property
    def created(self) -> bool:
        """Whether the key did not exist before, as clients find out."""
        return not self.deleted and self.kv.create_revision == self.kv.mod_revision


@attrs.frozen
class WatchRequest:
    """What was asked of a watch. `start_revision` 0: from now on."""

    key: bytes
    end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    progress_notify: bool = False
    no_put: bool = False
    no_delete: bool = False
    fragment: bool = False

    def wants(self, key: bytes, deleted: bool) -> bool:
        """Whether a change is one that this watch is told."""
        if self.no_delete if deleted else self.no_put:
            return False
        return within(key, self.key, self.end)


@attrs.frozen
class WatchResponse:
    """One message of a watch. `revision` is the header's; `progress` says that it is a notification of it."""

    stamp: int
    revision: int
    events: tuple[Event, ...] = ()
    created: bool = False
    canceled: bool = False
    progress: bool = False
    fragment: bool = False
    compact_revision: int = 0


@attrs.define
class Watch:
    """One watch, from its creation until it was canceled, lost or given up.

    Attributes:
        settled: the revision up to which the client has waited at the end of the run, with the watch open
            and the server at peace: all events up to it must be there. 0: the watch ended before.
    """

    client: int
    request: WatchRequest
    call: int
    member: int = 0
    responses: list[WatchResponse] = attrs.Factory(list)
    settled: int = 0

    @property
    def events(self) -> list[Event]:
        """All that it told."""
        return [event for response in self.responses for event in response.events]


@attrs.define
class History:
    """All that the clients of one run did and saw."""

    operations: list[Operation] = attrs.Factory(list)
    watches: list[Watch] = attrs.Factory(list)


def values_in(response: Response | Result | None) -> list[KeyValue]:
    """The key-values that an answer shows."""
    if isinstance(response, Got):
        return list(response.kvs)
    if isinstance(response, PutDone):
        return [response.prev] if response.prev else []
    if isinstance(response, Deleted):
        return list(response.prevs)
    if isinstance(response, TxnDone):
        return [kv for result in response.results for kv in values_in(result)]
    return []


def changes_something(response: Response | Result | None) -> bool | None:
    """Whether an answer says that a revision was made; None if it does not tell (Revoke)."""
    if isinstance(response, PutDone):
        return True
    if isinstance(response, Deleted):
        return response.count > 0
    if isinstance(response, TxnDone):
        return any(changes_something(result) for result in response.results)
    if isinstance(response, Got | Refused):
        return False
    return None
