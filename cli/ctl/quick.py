"""One plain call without Trio, because a command that makes a single call spends most of its time on imports.

It covers the common case and nothing else: an answer from an endpoint that is reached at once, and trusted. In all
other cases it gives up before anything has happened, and the client does what it does.
"""

from __future__ import annotations

import math
import socket
import time
from typing import TYPE_CHECKING, Final

from ...client.endpoints import NO_NAME, Endpoint, parse_endpoint
from ...client.errors import EndpointError, error_of
from ...client.retry import REPEATABLE
from ...errors import AuthNotEnabled, AuthOldRevision, Code, EtcdError, InvalidAuthToken
from ...rpc.grpc.client import ClientEvent, Finished, GrpcClient, Message
from ...rpc.h2.limits import Limits
from ...rpc.pb.rpc_pb2 import AuthenticateRequest, AuthenticateResponse
from ..common.exits import BAD_CONNECTION, Failure
from ..common.flags import FlagValues
from .failures import DEADLINE_TEXT, EOF_TEXT, error_text
from .trust import login_of, tls_of

if TYPE_CHECKING:
    from ...client.tls import TLS

__all__ = ["quick_call"]

PATIENCE_SECONDS: Final = 0.5
"""How long several endpoints are tried, one after the other; then the client asks all of them at once."""
RECEIVE_BYTES: Final = 1 << 18
SEND_BYTES_MAX: Final = 2 << 20
UNWATCHED_BYTES_MAX: Final = 32 << 10
KEEPALIVE_SECONDS_MIN: Final = 10.0
NO_MESSAGE: Final = "the server answered without a message"
MESSAGE_BYTES_MAX: Final = 2**31 - 1
LIMITS: Final = Limits(
    stream_window_bytes=16 << 20,
    connection_window_bytes=16 << 20,
    frame_bytes_max=1 << 20,
    nuisance_burst=1 << 60,  # grpc-go pings with every answer
)
SETTINGS_FRAME: Final = 4
STALE: Final = (AuthOldRevision, InvalidAuthToken)
"""The token is not known any more: the client logs in anew."""


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
    bytes_max = flags.number("max-request-bytes") or SEND_BYTES_MAX
    if seconds is None:  # nobody would notice that the server has stopped taking it
        bytes_max = min(bytes_max, UNWATCHED_BYTES_MAX)
    if len(request) > bytes_max or flags.text("discovery-srv") or _would_ask(flags):
        return None
    started = time.monotonic()
    deadline = None if seconds is None else started + seconds
    several = len(flags.texts("endpoints")) > 1
    until = min(started + PATIENCE_SECONDS if several else math.inf, deadline or math.inf)
    tls = tls_of(flags)
    for text in flags.texts("endpoints"):
        try:
            endpoint = parse_endpoint(text.strip())
        except EndpointError:
            return None
        patience = flags.seconds("dial-timeout") or math.inf
        try:
            sock = _connected(endpoint, min(patience, until - time.monotonic()))
        except OSError as error:
            if several and isinstance(error, TimeoutError):
                return None
            troubles[text.strip()] = (error.strerror or str(error)).lower()
            continue
        except UnicodeError:
            troubles[text.strip()] = NO_NAME
            continue
        secured = _secured(sock, endpoint, tls)
        if secured is None:
            return None
        with secured:
            scheme = "http" if secured is sock else "https"
            exchange = _Exchange(flags, endpoint, scheme, secured, deadline)
            if not exchange.greeted(min(patience, until - time.monotonic())):
                return None
            return exchange.run(method, request)
    return None


def _would_ask(flags: FlagValues) -> bool:
    """A password is missing: it is asked for once, by the client."""
    return bool(flags.text("user")) and not (flags.text("password") or ":" in flags.text("user"))


def _secured(sock: socket.socket, endpoint: Endpoint, tls: TLS | None) -> socket.socket | None:
    """The socket to speak through; None: there is no trust, and the client finds out why."""
    if not endpoint.wants_tls(tls is not None):
        return sock
    from ...client.tls import TLS

    try:
        return (tls or TLS()).context().wrap_socket(sock, server_hostname=endpoint.server_name)
    except (OSError, ValueError, EndpointError):
        sock.close()
        return None


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
        self,
        flags: FlagValues,
        endpoint: Endpoint,
        scheme: str,
        sock: socket.socket,
        deadline: float | None,
    ) -> None:
        self._flags = flags
        self._sock = sock
        self._deadline = deadline
        self._session = GrpcClient(
            authority=endpoint.authority,
            scheme=scheme,
            limits=LIMITS,
            message_bytes_max=flags.number("max-recv-bytes") or MESSAGE_BYTES_MAX,
        )

    def run(self, method: str, request: bytes) -> bytes | None:
        """See `quick_call`."""
        metadata = {}
        if self._flags.text("user"):
            token = self._logged_in()
            if token is None or not self._session.can_start:
                return None
            metadata = {"token": token} if token else {}
        end = self._call(method, request, metadata)
        if isinstance(end, bytes):
            return end
        self._check(method, end)
        return None

    def _logged_in(self) -> str | None:
        """The token, "" if none is needed; None: the connection broke. Raises Failure."""
        user, password = login_of(self._flags)
        if not (user and password):  # no login, as with Go's client
            return ""
        request = AuthenticateRequest(name=user, password=password).SerializeToString()
        dial = time.monotonic() + self._flags.seconds("dial-timeout")
        deadline = self._deadline
        self._deadline = dial if deadline is None else min(deadline, dial)
        try:
            end = self._call("Auth/Authenticate", request, {})
        except Failure as failure:
            raise Failure(failure.text, BAD_CONNECTION) from None
        finally:
            self._deadline = deadline
        if isinstance(end, bytes):
            return AuthenticateResponse.FromString(end).token
        error = _error(end)
        if isinstance(error, AuthNotEnabled):
            return ""
        if end.code == Code.UNAVAILABLE:
            return None
        late = end.code == Code.DEADLINE_EXCEEDED
        raise Failure(DEADLINE_TEXT if late else error_text(error), BAD_CONNECTION)

    def _call(self, method: str, request: bytes, metadata: dict[str, str]) -> bytes | Finished:
        """The answer, or how the call has ended without one."""
        left = self._left()
        self._session.call(
            f"/etcdserverpb.{method}",
            request,
            metadata=metadata,
            timeout_ns=None if left is None else max(1, int(left * 1e9)),
        )
        answer: bytes | None = None
        while True:
            for event in self._turn():
                if isinstance(event, Message):
                    answer = event.data
                elif isinstance(event, Finished):
                    return answer if event.code == Code.OK and answer is not None else event

    def greeted(self, seconds: float) -> bool:
        """Whether the server speaks HTTP/2, and within that time: before that nothing is asked of it."""
        try:
            self._sock.settimeout(None if seconds == math.inf else max(seconds, 0.001))
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
            data = self._heard()
        except TimeoutError:
            raise Failure(DEADLINE_TEXT) from None
        except OSError as error:
            return self._session.lost((error.strerror or str(error)).lower())
        if not data:
            return self._session.lost(EOF_TEXT)
        return self._session.receive(data)

    def _heard(self) -> bytes:
        """What comes next; nothing if the server, silent for long, does not even answer a ping."""
        silence = self._flags.seconds("keepalive-time")
        limits = (max(silence, KEEPALIVE_SECONDS_MIN), self._flags.seconds("keepalive-timeout"))
        for seconds in limits if silence else (math.inf,):
            left = self._left()
            limit = min(seconds, math.inf if left is None else left)
            self._sock.settimeout(None if limit == math.inf else limit)
            try:
                return self._sock.recv(RECEIVE_BYTES)
            except TimeoutError:
                self._left()
            self._session.ping()
            self._sock.sendall(self._session.data_to_send())
        return b""

    def _check(self, method: str, end: Finished) -> None:
        """Raise what the server answered; return if the call may as well be made anew."""
        if end.code == Code.UNAVAILABLE and (
            not end.processed or f"/etcdserverpb.{method}" in REPEATABLE
        ):
            return
        if end.code == Code.DEADLINE_EXCEEDED and self._deadline is not None:
            raise Failure(DEADLINE_TEXT)
        error = _error(end)
        stale = isinstance(error, STALE) and self._flags.text("user")
        if not stale:  # else it was not carried out
            raise error

    def _left(self) -> float | None:
        """Seconds until the deadline. Raises Failure when it has passed."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Failure(DEADLINE_TEXT)
        return left


def _error(end: Finished) -> EtcdError:
    """What a call has ended with, instead of an answer."""
    if end.code == Code.OK:
        return EtcdError(NO_MESSAGE, code=Code.INTERNAL)
    return error_of(end.code, end.text)
