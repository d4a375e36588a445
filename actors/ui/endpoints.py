"""What is answered below `/ui`, for both versions of HTTP. Loaded when it is first asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ...rpc.http_reply import HttpReply
from ...rpc.methods import Method
from ...rpc.ui_paths import is_ui, key_query, route
from ..context import NodeContext
from ..supervisor import Supervisor
from . import state
from .page import headers_for_data, page

__all__ = ["Ui"]


class Ui:
    """The page and its endpoints, of one node.

    Args:
        mode: "read-only" or "read-write".
        root: the supervisor of the node's actors.
    """

    def __init__(self, node: NodeContext, mode: str, root: Callable[[], Supervisor]) -> None:
        self._node = node
        self._mode = mode
        self._root = root

    def answer(
        self, verb: str, target: str, fields: Sequence[tuple[bytes, bytes]], authority: str
    ) -> HttpReply | Method | None:
        """The reply; or the RPC that is asked for, to be served as the gateway serves it; None: not below `/ui`."""
        if not is_ui(target):
            return None
        found = route(self._mode, verb, target, fields, authority)
        if not isinstance(found, str):
            return found
        if found == "page":
            return page()
        if found == "node":
            return _data(state.node(self._node, self._mode))
        if found == "key":
            query = key_query(target)
            return query if isinstance(query, HttpReply) else _data(state.key(self._node, query))
        return _data(state.actors(self._root))


def _data(value: Any) -> HttpReply:
    body = json.dumps(value, separators=(",", ":")).encode()
    return HttpReply(200, headers_for_data(), body)
