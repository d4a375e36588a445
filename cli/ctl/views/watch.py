"""What a watch prints of every response."""

from __future__ import annotations

from ....rpc.pb.kv_pb2 import Event
from ....rpc.pb.rpc_pb2 import WatchResponse
from ...common.output import Output
from ..gojson import dumps, message_value
from ..view import MessageView
from .header import header_fields
from .kv import pair_fields, pair_lines

__all__ = ["WatchView", "event_type"]

_COLOURS = {"PUT": "green", "DELETE": "red"}


def event_type(event: Event) -> str:
    """PUT or DELETE."""
    return "DELETE" if event.type else "PUT"


class WatchView(MessageView):
    """One response of a watch: JSON and protobuf as of the struct that Go's client has for it."""

    message: WatchResponse

    def simple(self, out: Output) -> None:
        for event in self.message.events:
            kind = event_type(event)
            out.line(kind, _COLOURS[kind])
            if event.HasField("prev_kv"):
                pair_lines(out, event.prev_kv, hex=self.hex)
            pair_lines(out, event.kv, hex=self.hex)

    def fields(self, out: Output) -> None:
        header_fields(out, self.message.header, hex=self.hex)
        for event in self.message.events:
            out.line(f'"Type" : {event_type(event)}')
            if event.HasField("prev_kv"):
                pair_fields(out, event.prev_kv, "Prev", hex=self.hex)
            pair_fields(out, event.kv, hex=self.hex)

    def json(self) -> str:
        answer = self.message
        return dumps(
            {
                "Header": message_value(answer.header),
                "Events": [message_value(event) for event in answer.events],
                "CompactRevision": answer.compact_revision,
                "Canceled": answer.canceled,
                "Created": answer.created,
            }
        )

    def protobuf(self) -> bytes:
        answer = self.message
        shown = WatchResponse(
            header=answer.header,
            compact_revision=answer.compact_revision,
            canceled=answer.canceled,
            created=answer.created,
            events=answer.events,
        )
        return shown.SerializeToString(deterministic=True)
