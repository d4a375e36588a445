"""Responses about keys."""

from __future__ import annotations

from typing import Any

from ....rpc.pb.kv_pb2 import KeyValue
from ....rpc.pb.rpc_pb2 import (
    DeleteRangeResponse,
    PutResponse,
    RangeResponse,
    TxnResponse,
)
from ...common.goquote import quote
from ...common.output import Output
from ..view import MessageView
from .header import header_fields

__all__ = ["DeleteView", "PutView", "RangeView", "TxnView", "pair_fields", "pair_lines"]


def hex_text(data: bytes) -> bytes:
    r"""Bytes as `--hex` shows them: \x66\x6f."""
    return b"".join(b"\\x%02x" % byte for byte in data)


def pair_lines(out: Output, pair: KeyValue, *, hex: bool, value_only: bool = False) -> None:
    """A key and its value, a line each, as they are."""
    if not value_only:
        out.line(hex_text(pair.key) if hex else pair.key, "cyan")
    out.line(hex_text(pair.value) if hex else pair.value)


def pair_fields(out: Output, pair: KeyValue, prefix: str = "", *, hex: bool) -> None:
    """A key-value pair in fields."""
    out.line(f'"{prefix}Key" : {quote(pair.key)}')
    out.line(f'"{prefix}CreateRevision" : {pair.create_revision}')
    out.line(f'"{prefix}ModRevision" : {pair.mod_revision}')
    out.line(f'"{prefix}Version" : {pair.version}')
    out.line(f'"{prefix}Value" : {quote(pair.value)}')
    out.line(f'"{prefix}Lease" : {f"{pair.lease:016x}" if hex else pair.lease}')


class PutView(MessageView):
    """`put`."""

    message: PutResponse

    def simple(self, out: Output) -> None:
        out.line("OK", "green")
        if self.message.HasField("prev_kv"):
            pair_lines(out, self.message.prev_kv, hex=self.hex)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        if self.message.HasField("prev_kv"):
            pair_fields(out, self.message.prev_kv, "Prev", hex=self.hex)


class RangeView(MessageView):
    """`get`.

    Args:
        message: the response.
        value_only: show no keys.
    """

    message: RangeResponse

    def __init__(self, message: RangeResponse, *, value_only: bool = False) -> None:
        super().__init__(message)
        self._value_only = value_only

    def simple(self, out: Output) -> None:
        for pair in self.message.kvs:
            pair_lines(out, pair, hex=self.hex, value_only=self._value_only)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        for pair in self.message.kvs:
            pair_fields(out, pair, hex=self.hex)
        out.line(f'"More" : {"true" if self.message.more else "false"}')
        out.line(f'"Count" : {self.message.count}')


class DeleteView(MessageView):
    """`del`."""

    message: DeleteRangeResponse

    def simple(self, out: Output) -> None:
        out.line(str(self.message.deleted))
        for pair in self.message.prev_kvs:
            pair_lines(out, pair, hex=self.hex)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        out.line(f'"Deleted" : {self.message.deleted}')
        for pair in self.message.prev_kvs:
            pair_fields(out, pair, "Prev", hex=self.hex)


_VIEWS: dict[str, type[MessageView]] = {
    "response_range": RangeView,
    "response_put": PutView,
    "response_delete_range": DeleteView,
}


class TxnView(MessageView):
    """`txn`: which branch, then every response as its own command shows it."""

    message: TxnResponse

    def _views(self) -> list[MessageView]:
        views = []
        for response in self.message.responses:
            chosen = response.WhichOneof("response")
            assert chosen is not None
            answer: Any = getattr(response, chosen)
            view = TxnView(answer) if chosen == "response_txn" else _VIEWS[chosen](answer)
            view.hex = self.hex
            views.append(view)
        return views

    def simple(self, out: Output) -> None:
        if self.message.succeeded:
            out.line("SUCCESS", "green")
        else:
            out.line("FAILURE", "yellow")
        for view in self._views():
            out.line()
            view.simple(out)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        out.line(f'"Succeeded" : {"true" if self.message.succeeded else "false"}')
        for view in self._views():
            view.fields(out)
