"""The way of a single call past the client: when it is taken, and when it gives up before anything has happened."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from triode.cli.common.exits import BAD_ARGUMENTS, Failure
from triode.cli.common.flags import FlagValues, parse
from triode.cli.ctl import quick
from triode.cli.ctl.commands import delete, get
from triode.cli.ctl.global_flags import GLOBAL_FLAGS
from triode.cli.ctl.key_range import KeyRange
from triode.cli.ctl.quick import quick_call
from triode.client.endpoints import parse_endpoint
from triode.errors import Code, EtcdError, InvalidAuthToken
from triode.rpc.grpc.client import Finished
from triode.rpc.grpc.events import Request
from triode.rpc.grpc.server import GrpcServer
from triode.rpc.h2.errors import ErrorCode
from triode.rpc.methods import UNARY_PATHS
from triode.rpc.pb.rpc_pb2 import PutRequest, RangeRequest

SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
REFUSED = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"  # RST_STREAM of stream 1
PING = b"\x00\x00\x08\x06\x01\x00\x00\x00\x00" + bytes(
    8
)  # an acknowledgement that nobody waits for
RANGE = RangeRequest(key=b"a").SerializeToString()
PUT = PutRequest(key=b"a").SerializeToString()
REQUEST = b"\0\0\0\0\x03" + RANGE  # and PUT is the same


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """A server that says something, and after the request something more, and hangs up; None: it says nothing."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket, greeting: bytes | None, answer: bytes) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                if greeting is not None:
                    sock.sendall(greeting)
                    heard = b""
                    while answer and REQUEST not in heard:
                        heard += sock.recv(65536)
                    if answer or not greeting:
                        sock.sendall(answer)
                        sock.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    while sock.recv(65536):
                        pass

    def start(greeting: bytes | None, answer: bytes = b"") -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(
            threading.Thread(target=serve, args=(listener, greeting, answer), daemon=True)
        )
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(5)


def flags(endpoints: str, *more: str) -> FlagValues:
    values = FlagValues(GLOBAL_FLAGS)
    parse(values, ["--endpoints", endpoints, *more])
    return values


@pytest.mark.parametrize(
    ("greeting", "answer"),
    [
        (b"", b""),  # it cannot have seen the call
        (ALERT, b""),  # it wants TLS
        (SETTINGS + REFUSED, b""),  # it does not keep to the protocol
        (SETTINGS, REFUSED),  # it says that it has not seen the call
        (None, b""),  # it says nothing
    ],
)
def test_connections_that_do_not_serve(
    answering: Callable[..., str], greeting: bytes | None, answer: bytes
) -> None:
    """The client may do it all anew."""
    given = flags(answering(greeting, answer), "--dial-timeout", "100ms")
    assert quick_call(given, "KV/Range", RANGE, 30.0, {}) is None
    assert quick_call(given, "KV/Put", PUT, 30.0, {}) is None


def test_a_connection_that_breaks(answering: Callable[..., str]) -> None:
    """The server may have seen the call, so a write is not made again."""
    given = flags(answering(SETTINGS, PING))
    assert quick_call(given, "KV/Range", RANGE, 30.0, {}) is None
    with pytest.raises(EtcdError, match=r"^error reading from server: EOF$") as caught:
        quick_call(given, "KV/Put", PUT, 30.0, {})
    assert caught.value.status == Code.UNAVAILABLE


def test_a_server_that_does_not_answer(answering: Callable[..., str]) -> None:
    with pytest.raises(Failure, match=r"^context deadline exceeded$") as caught:
        quick_call(flags(answering(SETTINGS)), "KV/Range", RANGE, 0.1, {})
    assert caught.value.code == 1


def test_endpoints_that_cannot_be_reached() -> None:
    troubles: dict[str, str] = {}
    given = flags("127.0.0.1:1,unix:/no/such/socket,a..b:1")
    assert quick_call(given, "KV/Range", RANGE, 30.0, troubles) is None
    assert troubles == {
        "127.0.0.1:1": "connection refused",
        "unix:/no/such/socket": "no such file or directory",
        "a..b:1": "no host can have such a name",
    }


@pytest.mark.parametrize(
    "more",
    [
        ("--user", "a"),
        ("--discovery-srv", "example.org"),
        ("--max-request-bytes", "2"),
    ],
)
def test_what_is_not_simple(answering: Callable[..., str], more: tuple[str, ...]) -> None:
    """Nobody is called."""
    troubles: dict[str, str] = {}
    assert quick_call(flags("127.0.0.1:1", *more), "KV/Range", RANGE, 30.0, troubles) is None
    assert quick_call(flags("http://[::"), "KV/Range", RANGE, 30.0, troubles) is None
    assert troubles == {}


@pytest.mark.parametrize(
    "more",
    [
        ("--cacert", "/no/such/ca.pem"),
        ("--insecure-transport=false",),
        ("--insecure-skip-tls-verify",),
        (),
    ],
)
def test_no_trust(answering: Callable[..., str], more: tuple[str, ...]) -> None:
    """Nothing is asked of a server that speaks no TLS: the client says why."""
    troubles: dict[str, str] = {}
    address = answering(SETTINGS)
    given = flags(address if more else f"https://{address}", *more)
    assert quick_call(given, "KV/Range", RANGE, 30.0, troubles) is None
    assert troubles == {}


def test_a_token_that_is_not_known() -> None:
    """The client logs in anew; without a user it is an answer as any other."""
    end = Finished(1, Code.UNAUTHENTICATED, InvalidAuthToken.text, {}, True)
    for more in (("--user", "a:b"), ()):
        with socket.socket() as sock:
            given = flags("127.0.0.1:1", *more)
            endpoint = parse_endpoint("127.0.0.1:1")
            exchange = quick._Exchange(given, endpoint, "http", sock, None)
            if more:
                exchange._check("KV/Put", end)
            else:
                with pytest.raises(InvalidAuthToken):
                    exchange._check("KV/Put", end)


Act = Callable[[GrpcServer, int], bytes]
"""What a server does about a call: it may say something itself. b"close": it hangs up."""


@pytest.fixture
def serving() -> Iterator[Callable[[Act], str]]:
    """A server that does the same thing with every call."""
    listeners: list[socket.socket] = []

    def talk(sock: socket.socket, act: Act) -> None:
        session = GrpcServer(is_unary=UNARY_PATHS)
        with sock, contextlib.suppress(OSError):
            sock.sendall(session.data_to_send())
            while data := sock.recv(65536):
                for event in session.receive(data):
                    if isinstance(event, Request):
                        words = act(session, event.stream_id)
                        if words == b"close":
                            return
                        sock.sendall(words)
                sock.sendall(session.data_to_send())

    def serve(listener: socket.socket, act: Act) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=talk, args=(sock, act), daemon=True).start()

    def start(act: Act) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, act), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def says(do: Callable[[GrpcServer, int], object]) -> Act:
    return lambda session, stream_id: bytes(do(session, stream_id) or b"")  # type: ignore[call-overload]


def going_away(last: int) -> bytes:
    return b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + bytes(4)


def answers_and_leaves(session: GrpcServer, stream_id: int) -> bytes:
    session.respond(stream_id, b"")
    return going_away(stream_id)


ANSWERS: dict[str, Act] = {
    "nothing, and success": says(lambda session, at: session.finish(at)),
    "no leader": says(lambda session, at: session.fail(at, 14, "etcdserver: no leader")),
    "a deadline": says(lambda session, at: session.fail(at, 4, "too late")),
    "an unknown code": says(lambda session, at: session.fail(at, 99, "what?")),
    "an end": lambda _session, _at: b"close",
    "a reset": says(lambda session, at: session.reset(at, ErrorCode.INTERNAL_ERROR)),
    "a call refused": says(lambda session, at: session.reset(at, ErrorCode.REFUSED_STREAM)),
    "a farewell to all": lambda _session, _at: going_away(0),
    "an answer, and a farewell": answers_and_leaves,
    "what is no message": says(lambda session, at: session.respond(at, b"\xff\xff")),
    "what is no HTTP/2": lambda _session, _at: b"\xff" * 50,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_both_ways_end_alike(
    name: str,
    serving: Callable[[Act], str],
    here: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the server does: what is printed, the error and the exit code are those of the way through the client."""
    address = serving(ANSWERS[name])
    lines: list[tuple[tuple[str, ...], bytes]] = [
        (("get", "k", "-w", "json"), b""),
        (("put", "k", "v"), b""),
        (("lease", "grant", "9"), b""),
    ]
    if "call refused" not in name and "to all" not in name:  # it goes on for long
        lines.append((("txn",), b"\nput a b\n\n\n"))
        lines.append((("get", "k", "--user", "a:b", "--dial-timeout", "150ms"), b""))
    for line, stdin in lines:
        words = ("--endpoints", address, "--command-timeout", "150ms", *line)
        at_once = here(*words, stdin=stdin)
        with monkeypatch.context() as context:
            context.setattr(quick, "quick_call", lambda *_: None)
            usual = here(*words, stdin=stdin)
        assert (at_once.code, at_once.out, at_once.errors) == (
            usual.code,
            usual.out,
            usual.errors,
        ), line


@pytest.fixture
def deaf() -> Iterator[str]:
    """An endpoint that does not even take connections: it never says anything."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_endpoints_that_do_not_answer_leave_time_for_those_that_do(
    deaf: str,
    answering: Callable[..., str],
    serving: Callable[[Act], str],
    here: Callable[..., Any],
) -> None:
    silent = answering(None)
    alive = serving(says(lambda session, at: session.respond(at, b"")))
    for dead in (f"{deaf},{deaf}", silent):
        done = here(
            "--endpoints", f"{dead},{alive}", "--command-timeout", "1500ms", "put", "k", "v"
        )
        assert (done.code, done.out, done.errors) == (0, b"OK\n", [])


def test_a_call_without_a_deadline_does_not_wait_for_the_dead(
    serving: Callable[[Act], str], here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`txn` waits as long as it takes, but the server must be there."""
    monkeypatch.setattr(quick, "KEEPALIVE_SECONDS_MIN", 0.01)
    stuck = threading.Event()

    def hangs(_session: GrpcServer, _at: int) -> bytes:
        stuck.wait(20)
        return b""

    address = serving(hangs)
    words = ("--endpoints", address, "--keepalive-time", "10ms", "--keepalive-timeout", "50ms")
    done = here(*words, "txn", stdin=b"\nput a b\n\n\n")
    stuck.set()
    assert done.code == 1
    assert done.errors == [
        "Error: rpc error: code = Unavailable desc = error reading from server: EOF"
    ]


@pytest.mark.parametrize(
    ("line", "key", "end"),
    [
        (["a"], b"a", b""),
        (["a", "b"], b"a", b"b"),
        (["a", "b", "c"], b"a", b"b"),
        (["--prefix", "a"], b"a", b"b"),
        (["--prefix", "a\udcff"], b"a\xff", b"b"),
        (["--prefix", "\udcff"], b"\xff", b"\0"),
        (["--prefix", ""], b"\0", b"\0"),
        (["--from-key", "a"], b"a", b"\0"),
        (["--from-key", ""], b"\0", b"\0"),
        ([""], b"", b""),
    ],
)
def test_which_keys_are_meant(line: list[str], key: bytes, end: bytes) -> None:
    for group in (get.FLAGS, delete.FLAGS):
        values = FlagValues(group)
        plain, _ = parse(values, line)
        assert KeyRange.of(values).select(plain) == (key, end)


@pytest.mark.parametrize(
    "line", [["--prefix", "--from-key", "a"], ["--prefix", "a", "b"], ["--from-key", "a", "b"]]
)
def test_keys_that_cannot_be_meant(line: list[str]) -> None:
    values: Any = FlagValues(get.FLAGS)
    plain, _ = parse(values, line)
    with pytest.raises(Failure) as caught:
        KeyRange.of(values).select(plain)
    assert caught.value.code == BAD_ARGUMENTS
