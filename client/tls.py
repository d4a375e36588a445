"""TLS: what the user says about it, and the layer between a connection and its socket.

The layer works on bytes alone (`ssl.MemoryBIO`), so that a connection over TLS sends and reads in the same way as a
plain one.
"""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from .errors import EndpointError

if TYPE_CHECKING:
    import trio

__all__ = ["TLS", "TlsRefused", "TlsWire", "handshake"]

PathLike = str | os.PathLike[str]
READ_BYTES_MAX = 65_536


class TlsRefused(Exception):
    """There is no trust between the two sides; trying again will not help. The message is for people."""


@attrs.frozen(kw_only=True)
class TLS:
    """How to trust a server, and how to be trusted.

    Attributes:
        ca: a file with the certificates of authorities, PEM; None: those of the system.
        cert: our certificate, PEM, for servers that ask for one.
        key: its private key, PEM; None: it is in `cert`'s file.
        server_name: the name that the server's certificate must bear; None: the endpoint's host.
        insecure_skip_verify: trust every server. For tests.
    """

    ca: PathLike | None = None
    cert: PathLike | None = None
    key: PathLike | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False

    def context(self) -> ssl.SSLContext:
        """The context for connections.

        Raises:
            EndpointError: a file cannot be read, or is not what it should be; the message names it.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca is None:
            context.load_default_certs()
        if self.ca is not None:
            _load(self.ca, "CA certificates", lambda: context.load_verify_locations(self.ca))
        if self.cert is not None:
            cert = self.cert
            _readable(self.key or cert, "private key")
            _load(cert, "certificate and key", lambda: context.load_cert_chain(cert, self.key))
        elif self.key is not None:
            raise EndpointError("a TLS key was given without its certificate")
        return context


def _readable(path: PathLike, what: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise EndpointError(f"cannot read the {what}: {path}: {error.strerror}") from error


def _load(path: PathLike, what: str, load: object) -> None:
    _readable(path, what)
    assert callable(load)
    try:
        load()
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
        raise EndpointError(f"cannot use the {what} in {path}: {reason}") from error


class TlsWire:
    """One TLS connection after its handshake, as two functions on bytes.

    Attributes:
        ended: the peer has closed its side.
    """

    def __init__(
        self, layer: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        self._layer = layer
        self._incoming = incoming
        self._outgoing = outgoing
        self.ended = False

    def encrypt(self, data: bytes) -> bytes:
        """What to write to the socket for `data`."""
        if data:
            self._layer.write(data)
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """What `data` from the socket brings; raises ssl.SSLError (an OSError) with the peer's complaint."""
        self._incoming.write(data)
        return self.early()

    def early(self) -> bytes:
        """What has come and was not read yet."""
        pieces = []
        try:
            while piece := self._layer.read(READ_BYTES_MAX):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(pieces)


async def handshake(stream: trio.abc.Stream, context: ssl.SSLContext, server_name: str) -> TlsWire:
    """Agree on TLS over a connected stream.

    Raises:
        TlsRefused: the certificate is not trusted, expired, of another name; or there is no TLS on the other side.
        OSError, trio.BrokenResourceError: the connection broke.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        layer = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
        while True:
            try:
                layer.do_handshake()
                break
            except ssl.SSLWantReadError:
                await stream.send_all(outgoing.read())
                data = await stream.receive_some(READ_BYTES_MAX)
                if not data:
                    raise TlsRefused(
                        "the server closed the connection during the TLS handshake"
                    ) from None
                incoming.write(data)
        if data := outgoing.read():
            await stream.send_all(data)
    except ssl.SSLError as error:
        raise TlsRefused(explain(error, server_name)) from error
    except ValueError as error:
        raise TlsRefused(f"not a server name: {server_name!r}") from error
    return TlsWire(layer, incoming, outgoing)


def explain(error: ssl.SSLError, server_name: str) -> str:
    """What a failed handshake means, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == 62 or "IP address mismatch" in error.verify_message:
            return f"the server's certificate is not for {server_name}"
        if error.verify_code == 10:
            return "the server's certificate has expired"
        return f"the server's certificate is not trusted: {error.verify_message}"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "wrong version number" in reason or "unknown protocol" in reason or "record layer" in reason:
        return "the server does not speak TLS here"
    return f"TLS: {reason}"


def plain_socket(stream: trio.SocketStream) -> socket.socket:
    """The socket below a stream, which must not be used any more."""
    raw = socket.socket(fileno=stream.socket.detach())
    raw.setblocking(False)
    return raw
