"""Dispatching with a stopwatch, for `--metrics=extensive`: it costs about three microseconds per call."""

from __future__ import annotations

import trio

from ..errors import EtcdError
from ..rpc.methods import METHODS
from ..rpc.metrics_text import Histogram, Histograms
from .call import NO_METADATA, Call, Metadata, Outlet, Sink, Stream
from .context import NodeContext
from .dispatch import Dispatcher
from .grpc_metrics import LABELS, GrpcMetrics
from .world import Clock

__all__ = ["TimedDispatcher", "make_dispatcher"]


def make_dispatcher(node: NodeContext, metrics: GrpcMetrics) -> Dispatcher:
    """The dispatcher that a node's configuration asks for."""
    if node.config.metrics == "extensive":
        return TimedDispatcher(node, metrics.handling)
    return Dispatcher(node)


class TimedDispatcher(Dispatcher):
    """A dispatcher that measures each call from its arrival to its status.

    Attributes:
        handling: seconds by RPC, of those that exist.
    """

    def __init__(self, node: NodeContext, handling: Histograms) -> None:
        super().__init__(node)
        self._clock = node.world.clock
        self._histograms = {path: handling[LABELS[path]] for path in METHODS}

    def call(self, path: str, message: bytes, call: Call) -> trio.CancelScope | None:
        """See `Dispatcher`."""
        histogram = self._histograms.get(path)
        if histogram is not None:
            call.sink = _TimedSink(call.sink, histogram, self._clock)
        return super().call(path, message, call)

    def open(
        self, path: str, out: Outlet, metadata: Metadata = NO_METADATA, *, counts: bool = False
    ) -> Stream | None:
        """See `Dispatcher`."""
        histogram = self._histograms.get(path)
        if histogram is None:
            return super().open(path, out, metadata, counts=counts)
        watch = _Stopwatch(histogram, self._clock)
        stream = super().open(path, _TimedOutlet(out, watch), metadata, counts=counts)
        return stream and _TimedStream(stream, watch)


class _Stopwatch:
    """Tells a histogram the time from its making to its first stop."""

    __slots__ = ("_clock", "_histogram", "_started", "_stopped")

    def __init__(self, histogram: Histogram, clock: Clock) -> None:
        self._histogram = histogram
        self._clock = clock
        self._started = clock.now()
        self._stopped = False

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._histogram.observe(self._clock.now() - self._started)


class _TimedSink(_Stopwatch):
    """Answers are passed on."""

    __slots__ = ("_sink",)

    def __init__(self, sink: Sink, histogram: Histogram, clock: Clock) -> None:
        super().__init__(histogram, clock)
        self._sink = sink

    def answer(self, tag: int, message: bytes) -> None:
        self.stop()
        self._sink.answer(tag, message)

    def refuse(self, tag: int, error: EtcdError) -> None:
        self.stop()
        self._sink.refuse(tag, error)


class _TimedOutlet:
    """A stream ends when the service finishes it."""

    def __init__(self, out: Outlet, watch: _Stopwatch) -> None:
        self._out = out
        self._watch = watch
        self.send = out.send
        self.backlog = out.backlog

    def finish(self, error: EtcdError | None = None) -> None:
        self._watch.stop()
        self._out.finish(error)


class _TimedStream:
    """A stream ends when the client leaves."""

    def __init__(self, stream: Stream, watch: _Stopwatch) -> None:
        self._stream = stream
        self._watch = watch
        self.message = stream.message
        self.half_closed = stream.half_closed
        self.writable = stream.writable

    def cancelled(self) -> None:
        self._watch.stop()
        self._stream.cancelled()
