"""Endpoints: the forms in which they are written, and what each says about TLS.

Forms are clientv3's: `host:port` (TLS if the client has any), `http://…` (never), `https://…` (always),
`unix:path`, `unix:///path` and `unix://name` (as `host:port`), `unixs:…` (always).
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from .errors import EndpointError

__all__ = ["DEFAULT_ENDPOINT", "DEFAULT_PORT", "NO_NAME", "Endpoint", "parse_endpoint"]

DEFAULT_PORT: Final = 2379
DEFAULT_ENDPOINT: Final = "127.0.0.1:2379"
NO_NAME: Final = "no host can have such a name"
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]*)://").match
_HOST_PORT = re.compile(
    r"(?:\[([^\[\]]+)\]|([^\[\]:/@?#\s]+|[0-9A-Fa-f:.%\w]*::[0-9A-Fa-f:.%\w]*))(?::(\d{1,5}))?"
).fullmatch


@attrs.frozen
class Endpoint:
    """Where a member can be reached.

    Attributes:
        text: as the user wrote it.
        tls: True: always; False: never; None: if the client has TLS.
        host: the host, without brackets; "" for a Unix socket.
        port: 1 to 65535; 0 for a Unix socket.
        path: of the Unix socket, or "".
    """

    text: str
    tls: bool | None
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def authority(self) -> str:
        """What HTTP/2 calls the server."""
        if self.path:
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def wants_tls(self, given: bool) -> bool:
        """Whether to speak TLS; `given`: the client has some."""
        return given if self.tls is None else self.tls

    @property
    def server_name(self) -> str:
        """The name that a certificate must bear."""
        return self.path.rpartition("/")[2].partition(":")[0] if self.path else self.host


def parse_endpoint(text: str) -> Endpoint:
    """Understand an endpoint.

    Raises:
        EndpointError: it is none of the known forms.
    """
    text = text.strip()
    for scheme, tls in (("unixs:", True), ("unix:", None)):
        if text.startswith(scheme):
            rest = text[len(scheme) :]
            path = rest.removeprefix("//")
            if not path:
                raise EndpointError(f"endpoint {text!r} names no socket")
            return Endpoint(text, tls, path=path)
    found = _SCHEME(text)
    scheme, rest = (found[1].lower(), text[found.end() :]) if found else ("", text)
    if scheme not in ("", "http", "https"):
        raise EndpointError(f"endpoint {text!r} has an unknown scheme: {scheme}")
    address = _HOST_PORT(rest.removesuffix("/") if scheme else rest)
    if address is None:
        raise EndpointError(
            f"endpoint {text!r} is not host:port, http(s)://host:port or unix(s):path"
        )
    port = int(address[3] or DEFAULT_PORT)
    if not 0 < port < 65536:
        raise EndpointError(f"endpoint {text!r}: a port is 1 to 65535")
    return Endpoint(
        text, {"http": False, "https": True}.get(scheme), address[1] or address[2], port
    )
