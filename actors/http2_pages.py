"""What a client is answered that speaks HTTP/2 but not gRPC: `curl --http2-prior-knowledge` and browsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..errors import Code, EtcdError
from ..rpc import gateway
from ..rpc.gateway_access import call_options
from ..rpc.grpc.heads import RequestHead
from ..rpc.grpc.status import encode_message
from ..rpc.h2.hpack_tables import Field
from ..rpc.http_reply import HttpReply, not_found
from ..rpc.methods import METHODS, Method
from ..rpc.redirects import redirect
from .access import Access
from .call import Call, Waiter
from .dispatch import Dispatcher
from .failures import refusal_of
from .http2_streams import Http2Stream, fields_of, requests_of
from .outbox import Outbox
from .pages import Pages

if TYPE_CHECKING:
    from .ui.endpoints import Ui

__all__ = ["Http2Pages", "Http2Reply"]


class Http2Reply(NamedTuple):
    """A reply as HTTP/2 header fields and a body."""

    status: int
    fields: tuple[Field, ...]
    body: bytes


class Http2Pages:
    """Answers whole requests."""

    def __init__(
        self,
        pages: Pages,
        dispatcher: Dispatcher,
        outbox: Outbox,
        *,
        gateway_enabled: bool,
        grpc_only: bool = False,
        access: Access | None = None,
        ui: Callable[[], Ui] | None = None,
    ) -> None:
        self._grpc_only = grpc_only
        self._ui = ui
        self._access = access or Access()
        self._pages = pages
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._gateway_enabled = gateway_enabled

    async def answer(self, head: RequestHead, body: bytes) -> Http2Reply | Http2Stream:
        """The reply to a request, or the stream of the JSON gateway that it asks for."""
        if head.path in METHODS:
            return _not_grpc(head)
        for_ui = self._ui is not None and head.path.startswith("/ui")
        more = [] if for_ui else self._access.headers(head.fields)
        try:
            reply = await self._reply(head, body)
            if isinstance(reply, Method):
                return _stream(reply, head, body, more)
        except Exception as error:  # noqa: BLE001
            refusal = refusal_of(error, head.path)
            reply = gateway.encode_error(refusal.status, refusal.message)
        fields = fields_of([*reply.headers, *more, ("Content-Length", str(len(reply.body)))])
        return Http2Reply(reply.status, fields, b"" if head.method == "HEAD" else reply.body)

    async def _reply(self, head: RequestHead, body: bytes) -> HttpReply | Method:
        """A whole reply, or the streaming RPC that is asked for."""
        if self._grpc_only:
            return not_found()
        at_once = self._access.answer(head.method, head.authority)
        if at_once is not None:
            return at_once
        moved = redirect(head.method, head.path)
        if moved is not None:
            return moved
        page = await self._pages.answer(head.method, head.path, head.fields)
        if page is not None:
            return page
        found = self._find(head)
        if not isinstance(found, Method):
            return found or not_found()
        if not found.unary:
            return found
        request = gateway.decode_request(found.request, body)
        message = await self._ask(found, request.SerializeToString(), head)
        return gateway.encode_reply(found.response, message)

    def _find(self, head: RequestHead) -> Method | HttpReply | None:
        """An RPC, of the gateway or of the page at `/ui`, or what is answered instead."""
        if self._ui is not None and head.path.startswith("/ui"):
            found = self._ui().answer(head.method, head.path, head.fields, head.authority)
            if found is not None:
                return found
        return gateway.route(head.method, head.path) if self._gateway_enabled else None

    async def _ask(self, method: Method, message: bytes, head: RequestHead) -> bytes:
        options = call_options(head.fields)
        waiter = Waiter()
        scope = self._dispatcher.call(method.path, message, Call(waiter, 0, options.metadata))
        self._outbox.flush()
        try:
            timeout = None if options.timeout_ns is None else options.timeout_ns / 1e9
            return await waiter.wait(timeout)
        finally:
            if scope is not None:
                scope.cancel()


def _stream(
    method: Method, head: RequestHead, body: bytes, headers: list[tuple[str, str]]
) -> Http2Reply | Http2Stream:
    try:
        options = call_options(head.fields)
        return Http2Stream(method, requests_of(method, body), options.metadata, headers)
    except EtcdError as error:
        reply = gateway.encode_stream_error(error.status, error.message)
        return Http2Reply(reply.status, fields_of([*reply.headers, *headers]), reply.body)


def _not_grpc(head: RequestHead) -> Http2Reply:
    """A gRPC method without gRPC's content type, in grpc-go's words."""
    kind = next((value for name, value in head.fields if name == b"content-type"), b"")
    text = f'invalid gRPC request content-type "{kind.decode("utf-8", "replace")}"'
    fields = (
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % Code.INVALID_ARGUMENT),
        (b"grpc-message", encode_message(text)),
    )
    return Http2Reply(415, fields, b"")
