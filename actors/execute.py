"""What a committed request does: the replicated state machine of one member.

`Executor` joins the parts that every member keeps alike (store, leases, alarms, members) and executes one
request of the log on them. It is synchronous and deterministic; a refusal is an `EtcdError`, which is the
same on every member, and comes before the first write: an entry has its effect as a whole or not at all. Reads do
not come here: they look at the store.

With an alarm raised, etcd executes some requests as refusals. NOSPACE refuses what makes the store grow;
CORRUPT refuses every write. As alarms are part of the replicated state, members agree on that too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import Code, Corrupt, EtcdError, NoSpace, UnknownMethod
from ..mvcc.alarm import CORRUPT, NOSPACE, Alarm, Alarms
from ..mvcc.alarm import NAMES as ALARM_NAMES
from ..mvcc.lease import Lessor
from ..mvcc.store import Store
from ..protowire import bytes_field, int_field
from ..raft.types import ConfChange
from . import proposals
from .answers import Header, delete_response, put_response, txn_response
from .cluster_version import parse_version
from .log import Log
from .member import read_attributes
from .membership import Membership
from .world import Clock

__all__ = ["Executor"]

ALARM_GET, ALARM_ACTIVATE, ALARM_DEACTIVATE = 0, 1, 2

log = Log("triode.applier")
Timed = Callable[[int, bool, float], None]


class Executor:
    """Executes requests on the state machine and encodes their answers."""

    def __init__(
        self,
        store: Store,
        lessor: Lessor,
        alarms: Alarms,
        membership: Membership,
        header: Header,
        clock: Clock,
    ) -> None:
        self.store = store
        self.lessor = lessor
        self.alarms = alarms
        self.membership = membership
        self.header = header
        self._clock = clock
        self.on_compact: Callable[[], None] = lambda: None
        self._plain: dict[int, Callable[[Any], bytes]] = {
            proposals.PUT: self._put,
            proposals.DELETE_RANGE: self._delete_range,
            proposals.TXN: self._txn,
            proposals.COMPACTION: self._compact,
            proposals.LEASE_GRANT: self._lease_grant,
            proposals.LEASE_REVOKE: self._lease_revoke,
            proposals.LEASE_CHECKPOINT: self._lease_checkpoint,
            proposals.ALARM: self._alarm,
            proposals.CLUSTER_VERSION_SET: self._cluster_version_set,
            proposals.CLUSTER_MEMBER_ATTR_SET: self._member_attributes_set,
            proposals.DOWNGRADE_INFO_SET: self._downgrade_info_set,
            proposals.V2: self._v2,
        }
        self._active = self._plain
        self._answered = True
        self.restrict()

    def execute(self, kind: int, request: Any, *, answered: bool = True) -> bytes:
        """Execute a request and return its encoded response; raises the EtcdError that it ends in.

        A response that nobody waits for (`answered` false) may lack what is dear to compute.
        """
        method = self._active.get(kind)
        if method is None:
            raise UnknownMethod
        self._answered = answered
        return method(request)

    def restrict(self) -> None:
        """Choose what is executed as a refusal under the alarms that are raised now."""
        kinds = {alarm.kind for alarm in self.alarms.get()}
        active = dict(self._plain)
        if NOSPACE in kinds:
            active[proposals.PUT] = _refuse(NoSpace)
            active[proposals.LEASE_GRANT] = _refuse(NoSpace)
            active[proposals.TXN] = self._txn_without_space
        if CORRUPT in kinds:
            for kind in (
                proposals.PUT,
                proposals.DELETE_RANGE,
                proposals.TXN,
                proposals.COMPACTION,
                proposals.LEASE_GRANT,
                proposals.LEASE_REVOKE,
            ):
                active[kind] = _refuse(Corrupt)
        self._active = active

    def time_with(self, observe: Timed) -> None:
        """From now on tell `observe` of each request: kind, whether it succeeded, and seconds."""
        now = self._clock.now
        self._plain = {
            kind: _timed(method, partial(observe, kind), now)
            for kind, method in self._plain.items()
        }
        self.restrict()

    # --- keys -----------------------------------------------------------------------------------

    def _put(self, request: Any) -> bytes:
        result = self.store.put(request)
        if not self._answered:
            return b""
        return put_response(self.header.framed(result.revision), result)

    def _delete_range(self, request: Any) -> bytes:
        result = self.store.delete_range(request)
        if not self._answered:
            return b""
        return delete_response(self.header.framed(result.revision), result)

    def _txn(self, request: Any) -> bytes:
        result = self.store.txn(request, answered=self._answered)
        if not self._answered:
            return b""
        return txn_response(self.header.framed(result.revision), result)

    def _txn_without_space(self, request: Any) -> bytes:
        if _has_put(request):
            raise NoSpace
        return self._txn(request)

    def _compact(self, request: Any) -> bytes:
        self.store.compact(request.revision)
        self.on_compact()
        return self._header_only()

    # --- leases ---------------------------------------------------------------------------------

    def _lease_grant(self, request: Any) -> bytes:
        ttl = self.lessor.grant(request.ID, request.TTL, self._clock.now())
        return self._header_only() + int_field(2, request.ID) + int_field(3, ttl)

    def _lease_revoke(self, request: Any) -> bytes:
        keys = self.lessor.revoke(request.ID)
        self.store.delete_lease_keys(keys)
        return self._header_only()

    def _lease_checkpoint(self, request: Any) -> bytes:
        for checkpoint in request.checkpoints:
            self.lessor.checkpoint(checkpoint.ID, checkpoint.remaining_TTL)
        return self._header_only()

    # --- alarms and members ---------------------------------------------------------------------

    def _alarm(self, request: Any) -> bytes:
        before = set(self.alarms.get())
        alarms = change_alarm(self.alarms, request)
        self.restrict()
        _log_changes(before, set(self.alarms.get()))
        return self._header_only() + encode_alarms(alarms)

    def _cluster_version_set(self, request: Any) -> bytes:
        self._set_version(request.ver)
        return self._header_only()

    def _set_version(self, version: str) -> None:
        if parse_version(version) is None:
            raise _unreadable("cluster version", version)
        self.membership.set_version(version)

    def _member_attributes_set(self, request: Any) -> bytes:
        attributes = request.member_attributes
        self.membership.set_attributes(
            request.member_ID, attributes.name, list(attributes.client_urls)
        )
        return self._header_only()

    def _downgrade_info_set(self, request: Any) -> bytes:
        self.membership.set_downgrade(request.enabled, request.ver)
        return self._header_only()

    def _v2(self, request: proposals.V2Request) -> bytes:
        """What a member of etcd 3.5 says of itself and of the cluster; others of these requests mean nothing now."""
        if request.method == "PUT":
            words = request.path.strip("/").split("/")
            if words[:2] == ["0", "members"] and words[3:] == ["attributes"]:
                said = read_attributes(words[2], request.value)
                if said is None:
                    raise _unreadable("member attributes", f"{request.path} {request.value}")
                self.membership.set_attributes(*said)
            elif words == ["0", "version"]:
                self._set_version(request.value)
        return b""

    def change_membership(self, change: ConfChange) -> EtcdError | None:
        """A committed membership change; what it is refused with, alike on every member (see `Membership`)."""
        error = self.membership.apply(change)
        if error is not None:
            log.warning(
                "refused a membership change",
                type=change.type.name,
                member_id=f"{change.node_id:x}",
                error=error.message,
            )
        return error

    def _header_only(self) -> bytes:
        return self.header.framed(self.store.revision)


def _unreadable(what: str, text: str) -> EtcdError:
    """A request of another member's that says nothing: etcd ends there; a refusal is alike on every member, too."""
    log.warning("refused a request that cannot be read", what=what, text=text)
    return EtcdError(f"etcdserver: not a {what}", code=Code.INVALID_ARGUMENT)


def change_alarm(alarms: Alarms, request: Any) -> list[Alarm]:
    """Raise or disarm; returns the alarms that the response names."""
    if request.action == ALARM_ACTIVATE:
        alarm = alarms.activate(request.memberID, request.alarm)
        return [alarm] if alarm else []
    if request.action == ALARM_DEACTIVATE:
        gone = alarms.deactivate(request.memberID, request.alarm)
        return [gone] if gone else []
    return alarms.get(request.alarm)


def _log_changes(before: set[Alarm], after: set[Alarm]) -> None:
    for alarm in after - before:
        name = ALARM_NAMES.get(alarm.kind, "UNKNOWN")
        log.warning("alarm raised", alarm=name, member_id=f"{alarm.member_id:x}")
    for alarm in before - after:
        name = ALARM_NAMES.get(alarm.kind, "UNKNOWN")
        log.info("alarm disarmed", alarm=name, member_id=f"{alarm.member_id:x}")


def encode_alarms(alarms: list[Alarm]) -> bytes:
    """AlarmResponse.alarms (field 2): memberID 1, alarm 2."""
    return b"".join(
        [bytes_field(2, int_field(1, a.member_id) + int_field(2, a.kind)) for a in alarms]
    )


def _timed(
    method: Callable[[Any], bytes], observe: Callable[[bool, float], None], now: Callable[[], float]
) -> Callable[[Any], bytes]:
    def timed(request: Any) -> bytes:
        started = now()
        succeeded = False
        try:
            answer = method(request)
            succeeded = True
        finally:
            observe(succeeded, now() - started)
        return answer

    return timed


def _refuse(error: type[EtcdError]) -> Callable[[Any], bytes]:
    def refuse(_: Any) -> bytes:
        raise error

    return refuse


def _has_put(request: Any) -> bool:
    for op in (*request.success, *request.failure):
        which = op.WhichOneof("request")
        if which == "request_put" or (which == "request_txn" and _has_put(op.request_txn)):
            return True
    return False
