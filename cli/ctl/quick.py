"""One plain call without Trio, because a command that makes a single call spends most of its time on imports.

It covers the common case and nothing else: an answer from an endpoint that is reached at once, without TLS and
login. In all other cases it gives up before anything has happened, and the client does what it does.
"""

from __future__ import annotations

import math
import socket
import time
from typing import Final

from ...client.endpoints import Endpoint, parse_endpoint
from ...client.errors import EndpointError, error_of
from ...errors import Code
from ...rpc.grpc.client import ClientEvent, Finished, GrpcClient, Message
from ...rpc.h2.limits import Limits
from ..common.exits import Failure
from ..common.flags import FlagValues
from .failures import DEADLINE_TEXT

__all__ = ["quick_call"]

READS: Final = frozenset(("KV/Range", "Lease/LeaseTimeToLive", "Lease/LeaseLeases"))
"""Calls that may be made twice."""
RECEIVE_BYTES: Final = 1 << 18
SEND_BYTES_MAX: Final = 2 << 20
MESSAGE_BYTES_MAX: Final = 2**31 - 1
LIMITS: Final = Limits(
    stream_window_bytes=16 << 20,
    connection_window_bytes=16 << 20,
    frame_bytes_max=1 << 20,
    nuisance_burst=1 << 60,  # grpc-go pings with every answer
)
SPECIAL: Final = ("user", "discovery-srv", "cert", "key", "cacert")
SETTINGS_FRAME: Final = 4


def quick_call(
    flags: FlagValues,
    method: str,
    request: bytes,
    seconds: float | None,
    troubles: dict[str, str],
) -> bytes | None:
    """Make a call, if that is simple.

    Args:
        flags: the global flags, complete.
        method: "KV/Range".
        request: its encoded request.
        seconds: how long it may take; None: for ever.
        troubles: takes up what is wrong with endpoints that cannot be reached.

    Returns:
        The encoded response; None: nothing has happened, ask the client.

    Raises:
        EtcdError: what the server answered.
        Failure: the time is over.
    """
    if not _simple(flags) or len(request) > (flags.number("max-request-bytes") or SEND_BYTES_MAX):
        return None
    deadline = None if seconds is None else time.monotonic() + seconds
    for text in flags.texts("endpoints"):
        try:
            endpoint = parse_endpoint(text.strip())
        except EndpointError:
            return None
        if endpoint.tls:
            return None
        patience = flags.seconds("dial-timeout") or math.inf
        if deadline is not None:
            patience = min(patience, deadline - time.monotonic())
        try:
            sock = _connected(endpoint, patience)
        except OSError as error:
            troubles[text.strip()] = (error.strerror or str(error)).lower()
            continue
        with sock:
            return _Exchange(flags, endpoint, sock, deadline).run(method, request)
    return None


def _simple(flags: FlagValues) -> bool:
    return (
        not any(flags.text(name) for name in SPECIAL)
        and not any(flags.changed(name) for name in SPECIAL)
        and flags.switch("insecure-transport")
        and not flags.switch("insecure-skip-tls-verify")
    )


def _connected(endpoint: Endpoint, seconds: float) -> socket.socket:
    """A socket that is connected. Raises OSError."""
    if seconds <= 0:
        raise TimeoutError("timed out")
    timeout = None if seconds == math.inf else seconds
    if endpoint.path:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(endpoint.path)
        except OSError:
            sock.close()
            raise
        return sock
    sock = socket.create_connection((endpoint.host, endpoint.port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class _Exchange:
    """One request and its answer over one connection."""

    def __init__(
        self, flags: FlagValues, endpoint: Endpoint, sock: socket.socket, deadline: float | None
    ) -> None:
        self._flags = flags
        self._sock = sock
        self._deadline = deadline
        self._session = GrpcClient(
            authority=endpoint.authority,
            limits=LIMITS,
            message_bytes_max=flags.number("max-recv-bytes") or MESSAGE_BYTES_MAX,
        )

    def run(self, method: str, request: bytes) -> bytes | None:
        """See `quick_call`."""
        if not self._greeted():
            return None
        left = self._left()
        self._session.call(
            f"/etcdserverpb.{method}",
            request,
            timeout_ns=None if left is None else max(1, int(left * 1e9)),
        )
        answer = b""
        while True:
            for event in self._turn():
                if isinstance(event, Message):
                    answer = event.data
                elif isinstance(event, Finished):
                    if event.code == Code.OK:
                        return answer
                    self._check(method, event)
                    return None

    def _greeted(self) -> bool:
        """Whether the server speaks HTTP/2, and soon: before that nothing is asked of it."""
        left = self._left()
        limits = [each for each in (left, self._flags.seconds("dial-timeout") or None) if each]
        try:
            self._sock.settimeout(min(limits, default=None))
            self._sock.sendall(self._session.data_to_send())
            data = self._sock.recv(RECEIVE_BYTES)
        except OSError:
            return False
        if data[3:4] != bytes((SETTINGS_FRAME,)):
            return False
        return not self._session.receive(data) and self._session.can_start

    def _turn(self) -> list[ClientEvent]:
        """Send what is to be sent and take what comes."""
        try:
            self._sock.settimeout(self._left())
            self._sock.sendall(self._session.data_to_send())
            data = self._sock.recv(RECEIVE_BYTES)
        except TimeoutError:
            raise Failure(DEADLINE_TEXT) from None
        except OSError:
            data = b""
        if not data:
            return self._session.lost("error reading from server: EOF")
        return self._session.receive(data)

    def _check(self, method: str, end: Finished) -> None:
        """Raise what the server answered; return if the call may as well be made anew."""
        if end.code == Code.UNAVAILABLE and (not end.processed or method in READS):
            return
        if end.code == Code.DEADLINE_EXCEEDED:
            raise Failure(DEADLINE_TEXT)
        raise error_of(end.code, end.text)

    def _left(self) -> float | None:
        """Seconds until the deadline. Raises Failure when it has passed."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Failure(DEADLINE_TEXT)
        return left
