"""What `Connection.receive` reports. NamedTuples, because one is made per request."""

from __future__ import annotations

from typing import Any, NamedTuple

from .errors import ErrorCode

__all__ = [
    "BodyTooLarge",
    "ConnectionEnded",
    "DataReceived",
    "Event",
    "GoawayReceived",
    "HeadersReceived",
    "PingAcked",
    "PingReceived",
    "RequestReceived",
    "SettingsReceived",
    "StreamReset",
    "StreamWritable",
    "TrailersReceived",
]


class RequestReceived(NamedTuple):
    """A request whose head is marked `whole`: head and complete body in one event."""

    stream_id: int
    head: Any
    body: bytes


class BodyTooLarge(NamedTuple):
    """A whole request grew beyond `body_bytes_max`; what has come so far is `start`."""

    stream_id: int
    head: Any
    start: bytes


class HeadersReceived(NamedTuple):
    """The head of a request (server) or of a response (client)."""

    stream_id: int
    head: Any
    end_stream: bool


class DataReceived(NamedTuple):
    """A piece of body. Its length counts against the stream's window until consumed."""

    stream_id: int
    data: bytes
    end_stream: bool


class TrailersReceived(NamedTuple):
    """Trailing fields, as `parse_trailers` left them; they end the peer's side of the stream."""

    stream_id: int
    fields: Any


class StreamReset(NamedTuple):
    """A stream ended early: `by_peer`, or by us for a fault of the peer's."""

    stream_id: int
    code: int
    by_peer: bool


class StreamWritable(NamedTuple):
    """All that waited for flow control credit on this stream has gone out."""

    stream_id: int


class PingReceived(NamedTuple):
    """A PING, already acknowledged. `after_write`: HEADERS or DATA went out since the one before."""

    after_write: bool


class PingAcked(NamedTuple):
    data: bytes


class SettingsReceived(NamedTuple):
    """The peer's settings have been applied and acknowledged."""


class GoawayReceived(NamedTuple):
    """Streams of ours above `last_stream_id` were surely not processed."""

    last_stream_id: int
    code: int
    debug: bytes


class ConnectionEnded(NamedTuple):
    """The peer broke a rule; GOAWAY with this code is queued and nothing more is read."""

    code: ErrorCode
    text: str


Event = (
    RequestReceived
    | BodyTooLarge
    | HeadersReceived
    | DataReceived
    | TrailersReceived
    | StreamReset
    | StreamWritable
    | PingReceived
    | PingAcked
    | SettingsReceived
    | GoawayReceived
    | ConnectionEnded
)
