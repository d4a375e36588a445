"""Endpoints by DNS: the SRV records `_etcd-client._tcp.DOMAIN`, and `-ssl` for TLS."""

from __future__ import annotations

from ...actors.discovery import Lookup, lookup_srv
from ..common.exits import Failure

__all__ = ["client_endpoints"]


async def client_endpoints(domain: str, name: str, lookup: Lookup = lookup_srv) -> list[str]:
    """The endpoints of a domain, those with TLS first.

    Args:
        domain: of the records.
        name: appended to the service, for several clusters in one domain; or "".
        lookup: asks for the records of a name.

    Raises:
        Failure: there are no records at all.
    """
    endpoints = []
    troubles = []
    for service, scheme in (("etcd-client-ssl", "https"), ("etcd-client", "http")):
        full = f"{service}-{name}" if name else service
        try:
            records = await lookup(f"_{full}._tcp.{domain}")
        except OSError as error:
            troubles.append(str(error))
        else:
            endpoints += [f"{scheme}://{record.authority}" for record in records]
    if len(troubles) == 2:
        raise Failure(f"dns lookup errors: {troubles[0]} and {troubles[1]}")
    return endpoints
