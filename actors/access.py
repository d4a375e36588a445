"""Who may call over HTTP, and from where: the settings `cors` and `host-whitelist`, for both versions of HTTP."""

from __future__ import annotations

from collections.abc import Iterable

from ..rpc.gateway_access import cors, host_refusal
from ..rpc.http_reply import HttpReply

__all__ = ["Access"]


class Access:
    """The rules of one node; both settings are comma-separated lists."""

    def __init__(self, origins: str = "*", hosts: str = "*") -> None:
        self._origins = {origin.strip() for origin in origins.split(",") if origin.strip()}
        self._hosts = {host.strip() for host in hosts.split(",") if host.strip()}

    def answer(self, verb: str, authority: str) -> HttpReply | None:
        """The reply that ends a request before it is looked at: an unknown host's, or a preflight's."""
        refusal = host_refusal(self._hosts, authority)
        if refusal is None and verb == "OPTIONS":
            return HttpReply(200, [], b"")
        return refusal

    def headers(self, fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
        """What every reply to a request with these header fields carries for browsers."""
        origin = next((value for name, value in fields if name.lower() == b"origin"), b"")
        return cors(self._origins, origin.decode("latin-1"))
