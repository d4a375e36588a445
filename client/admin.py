"""The parts of a client that administer a cluster, each loaded when it is first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .call import Caller

if TYPE_CHECKING:
    from .auth import Auth
    from .cluster import Cluster
    from .maintenance import Maintenance

__all__ = ["AdminCalls"]


class AdminCalls(Caller):
    """`client.cluster`, `client.maintenance`, `client.auth`. They concern the cluster, whatever the namespace."""

    @cached_property
    def cluster(self) -> Cluster:
        """The members."""
        from .cluster import Cluster

        return Cluster(self)

    @cached_property
    def maintenance(self) -> Maintenance:
        """State and upkeep of single members."""
        from .maintenance import Maintenance

        return Maintenance(self)

    @cached_property
    def auth(self) -> Auth:
        """Users, roles, and whether they count."""
        from .auth import Auth

        return Auth(self)
