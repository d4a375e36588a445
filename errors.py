"""Every error that Triode raises, in one tree.

There are two kinds, and the difference decides what a node does with one:

* an `EtcdError` is a *result*. Every replica that executes the same request fails in the same way,
  so the error is applied and sent to the client. Each class carries etcd's gRPC status code and
  etcd's exact text, because clients compare both (the Go client maps texts back to its own errors).
* a `NodeError` is a fault of this machine or of its configuration (a failed fsync, a corrupt file,
  a locked directory). It is never sent as an answer and never retried: the node stops, because going
  on could let replicas diverge.

`Code` is gRPC's status code; the numbers are fixed by the gRPC protocol.
"""

from __future__ import annotations

import enum
from typing import ClassVar

__all__ = ["Code", "ConfigError", "EtcdError", "NodeError", "TriodeError", "by_text"]


class Code(enum.IntEnum):
    """A gRPC status code (grpc/doc/statuscodes.md)."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class TriodeError(Exception):
    """The root of everything that Triode raises on purpose."""


class ConfigError(TriodeError):
    """The configuration is wrong; the message names the key and says what to do."""


class NodeError(TriodeError):
    """A fault of this machine: the node stops. Subclasses say which part failed."""


class InvariantBroken(NodeError):
    """The state contradicts the protocol or itself: stop the node, restore it from a peer or a backup.

    What protects data is checked by raising this, not by `assert`, which `python -O` leaves out.
    """


class StorageError(NodeError):
    """Reading or writing the data directory failed; the message names the file."""


class CorruptData(StorageError):
    """A file holds something that was never written so: restore it from a snapshot or a member."""


class DiskFull(StorageError):
    """The file system is out of space: free some, then start the node again."""


class DataDirLocked(StorageError):
    """Another process serves this data directory: stop it, or choose another `data-dir`."""


class AddressInUse(NodeError):
    """A listen address is taken: stop its owner, or choose another listen URL."""


class JoinRefused(NodeError):
    """The cluster could not be asked, or this member does not fit into it; the message says why."""


class MemberRemoved(NodeError):
    """The cluster has removed this member: remove its data directory and add it again, as a new one."""


class EtcdError(TriodeError):
    """An answer to a client: a gRPC status `code` and a `text`.

    Subclasses fix both. Raise a plain `EtcdError(text, code=...)` only for texts that vary.
    """

    code: ClassVar[Code] = Code.UNKNOWN
    text: ClassVar[str] = ""

    def __init__(self, message: str | None = None, *, code: Code | None = None) -> None:
        self.message = self.text if message is None else message
        self.status = self.code if code is None else code
        super().__init__(self.message)


_BY_TEXT: dict[str, type[EtcdError]] = {}


def by_text(message: str) -> type[EtcdError] | None:
    """The class whose exact wire text is `message`, or None: how a client recovers the error."""
    return _BY_TEXT.get(message)


def _error(
    code: Code, text: str, hint: str = "", *, prefix: str = "etcdserver: "
) -> type[EtcdError]:
    """Define one row of the catalogue; the class takes the name that it is assigned to below."""
    full = prefix + text
    row = type(
        "EtcdError", (EtcdError,), {"code": code, "text": full, "__doc__": hint or f"{full}."}
    )
    _BY_TEXT[full] = row
    return row


# --- InvalidArgument: the request can never succeed as it is -----------------------------------
EmptyKey = _error(Code.INVALID_ARGUMENT, "key is not provided")
KeyNotFound = _error(Code.INVALID_ARGUMENT, "key not found")
ValueProvided = _error(Code.INVALID_ARGUMENT, "value is provided")
LeaseProvided = _error(Code.INVALID_ARGUMENT, "lease is provided")
TooManyOps = _error(Code.INVALID_ARGUMENT, "too many operations in txn request")
DuplicateKey = _error(Code.INVALID_ARGUMENT, "duplicate key given in txn request")
InvalidClientAPIVersion = _error(Code.INVALID_ARGUMENT, "invalid client api version")
InvalidSortOption = _error(Code.INVALID_ARGUMENT, "invalid sort option")
MemberBadURLs = _error(Code.INVALID_ARGUMENT, "given member URLs are invalid")
RequestTooLarge = _error(Code.INVALID_ARGUMENT, "request is too large")
UserEmpty = _error(Code.INVALID_ARGUMENT, "user name is empty")
RoleEmpty = _error(Code.INVALID_ARGUMENT, "role name is empty")
AuthFailed = _error(Code.INVALID_ARGUMENT, "authentication failed, invalid user ID or password")
PermissionNotGiven = _error(Code.INVALID_ARGUMENT, "permission not given")
InvalidAuthMgmt = _error(Code.INVALID_ARGUMENT, "invalid auth management")
AuthOldRevision = _error(Code.INVALID_ARGUMENT, "revision of auth store is old")
WrongDowngradeVersionFormat = _error(Code.INVALID_ARGUMENT, "wrong downgrade target version format")
InvalidDowngradeTargetVersion = _error(Code.INVALID_ARGUMENT, "invalid downgrade target version")

# --- OutOfRange, ResourceExhausted, NotFound ----------------------------------------------------
Compacted = _error(Code.OUT_OF_RANGE, "mvcc: required revision has been compacted")
FutureRev = _error(Code.OUT_OF_RANGE, "mvcc: required revision is a future revision")
LeaseTTLTooLarge = _error(Code.OUT_OF_RANGE, "too large lease TTL")
NoSpace = _error(Code.RESOURCE_EXHAUSTED, "mvcc: database space exceeded")
# etcd's server sends this one (and MemberNotEnoughStarted) without a status, hence Unknown.
TooManyRequests = _error(Code.UNKNOWN, "too many requests")
LeaseNotFound = _error(Code.NOT_FOUND, "requested lease not found")
MemberNotFound = _error(Code.NOT_FOUND, "member not found")

# --- FailedPrecondition: right in itself, wrong in the present state ----------------------------
LeaseExist = _error(Code.FAILED_PRECONDITION, "lease already exists")
MemberExist = _error(Code.FAILED_PRECONDITION, "member ID already exist")
PeerURLExist = _error(Code.FAILED_PRECONDITION, "Peer URLs already exists")
MemberNotEnoughStarted = _error(
    Code.UNKNOWN, "re-configuration failed due to not enough started members"
)
MemberNotLearner = _error(Code.FAILED_PRECONDITION, "can only promote a learner member")
LearnerNotReady = _error(
    Code.FAILED_PRECONDITION, "can only promote a learner member which is in sync with leader"
)
TooManyLearners = _error(Code.FAILED_PRECONDITION, "too many learner members in cluster")
ClusterIDMismatch = _error(Code.FAILED_PRECONDITION, "cluster ID mismatch")
RootUserNotExist = _error(Code.FAILED_PRECONDITION, "root user does not exist")
RootRoleNotExist = _error(Code.FAILED_PRECONDITION, "root user does not have root role")
UserAlreadyExist = _error(Code.FAILED_PRECONDITION, "user name already exists")
UserNotFound = _error(Code.FAILED_PRECONDITION, "user name not found")
RoleAlreadyExist = _error(Code.FAILED_PRECONDITION, "role name already exists")
RoleNotFound = _error(Code.FAILED_PRECONDITION, "role name not found")
RoleNotGranted = _error(Code.FAILED_PRECONDITION, "role is not granted to the user")
PermissionNotGranted = _error(Code.FAILED_PRECONDITION, "permission is not granted to the role")
AuthNotEnabled = _error(Code.FAILED_PRECONDITION, "authentication is not enabled")
NotLeader = _error(Code.FAILED_PRECONDITION, "not leader")
NotCapable = _error(Code.FAILED_PRECONDITION, "not capable")
NotSupportedForLearner = _error(Code.FAILED_PRECONDITION, "rpc not supported for learner")
BadLeaderTransferee = _error(Code.FAILED_PRECONDITION, "bad leader transferee")
ClusterVersionUnavailable = _error(
    Code.FAILED_PRECONDITION, "cluster version not found during downgrade"
)
DowngradeInProcess = _error(Code.FAILED_PRECONDITION, "cluster has a downgrade job in progress")
NoInflightDowngrade = _error(Code.FAILED_PRECONDITION, "no inflight downgrade job")

# --- Authentication, cancellation, corruption ---------------------------------------------------
PermissionDenied = _error(Code.PERMISSION_DENIED, "permission denied")
InvalidAuthToken = _error(Code.UNAUTHENTICATED, "invalid auth token")
WatchCanceled = _error(Code.CANCELED, "watch canceled")
RequestCanceled = _error(Code.CANCELED, "request canceled")
# From Go itself, not from etcd, hence without the prefix.
DeadlineExceeded = _error(Code.DEADLINE_EXCEEDED, "context deadline exceeded", prefix="")
Corrupt = _error(Code.DATA_LOSS, "corrupt cluster")

# --- Unavailable: try again, perhaps on another member ------------------------------------------
NoLeader = _error(Code.UNAVAILABLE, "no leader")
LeaderChanged = _error(Code.UNAVAILABLE, "leader changed")
Stopped = _error(Code.UNAVAILABLE, "server stopped")
RequestTimeout = _error(Code.UNAVAILABLE, "request timed out")
TimeoutDueToLeaderFail = _error(
    Code.UNAVAILABLE, "request timed out, possibly due to previous leader failure"
)
TimeoutDueToConnectionLost = _error(
    Code.UNAVAILABLE, "request timed out, possibly due to connection lost"
)
TimeoutWaitAppliedIndex = _error(
    Code.UNAVAILABLE,
    "request timed out, waiting for the applied index took too long",
)
Unhealthy = _error(Code.UNAVAILABLE, "unhealthy cluster")
InstallingSnapshot = _error(
    Code.UNAVAILABLE,
    "this member takes over a snapshot; try again, or ask another",
    "etcd opens a second database instead, and has no such error.",
    prefix="triode: ",
)

# --- Without a status of their own in etcd, hence Unknown ---------------------------------------
TimeoutLeaderTransfer = _error(Code.UNKNOWN, "request timed out, leader transfer took too long")
NotPrimaryLessor = _error(Code.UNKNOWN, "not a primary lessor", prefix="")
UnknownMethod = _error(Code.UNKNOWN, "unknown method")
ElectionNoLeader = _error(Code.UNKNOWN, "election: no leader", prefix="")
ElectionNotLeader = _error(Code.UNKNOWN, "election: not leader", prefix="")
ElectionLeaderMissing = _error(Code.UNKNOWN, '"leader" field must be provided', prefix="")

for _name, _row in list(globals().items()):
    if isinstance(_row, type) and issubclass(_row, EtcdError) and _row is not EtcdError:
        _row.__name__ = _row.__qualname__ = _name
        __all__ += [_name]  # noqa: PLE0604
__all__ += ["AddressInUse", "CorruptData", "DataDirLocked", "DiskFull", "StorageError"]
__all__ += ["JoinRefused", "MemberRemoved"]
