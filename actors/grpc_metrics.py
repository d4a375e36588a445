"""The metrics of a gRPC server, in the names of go-grpc-prometheus, which etcd's dashboards use.

Every series exists from the start, with value 0: a rate over a series that appears together with its
first error would miss that error.
"""

from __future__ import annotations

from typing import Final

from ..errors import Code
from ..rpc.methods import METHODS, Method
from ..rpc.metrics_text import Histograms, Labelled, MetricSet, counters, histograms

__all__ = ["GrpcMetrics", "code_name", "labels_of"]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TYPES: Final = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}
_NAMES: Final = ("grpc_method", "grpc_service", "grpc_type")


def labels_of(method: Method) -> tuple[str, str, str]:
    """The key of a method in `started`, `received`, `sent`; make it once per method."""
    return method.name, method.service, _TYPES[method.client_streaming, method.server_streaming]


def code_name(code: Code) -> str:
    """Go's name of a status code: "OK", "NotFound"."""
    return "OK" if code == Code.OK else code.name.title().replace("_", "")


LABELS: Final = {path: labels_of(method) for path, method in METHODS.items()}
CODE_NAMES: Final = {int(code): code_name(code) for code in Code}


class GrpcMetrics(MetricSet):
    """Counts per method; keys are `LABELS[path]`, with `CODE_NAMES[code]` in front in `handled`."""

    started: Labelled = counters("grpc_server_started_total", "Calls begun.", *_NAMES)
    handled: Labelled = counters(
        "grpc_server_handled_total", "Calls ended, by status code.", "grpc_code", *_NAMES
    )
    received: Labelled = counters("grpc_server_msg_received_total", "Messages received.", *_NAMES)
    sent: Labelled = counters("grpc_server_msg_sent_total", "Messages sent.", *_NAMES)
    handling: Histograms = histograms(
        "grpc_server_handling_seconds", "Time of a call (--metrics=extensive).", SECONDS, *_NAMES
    )

    def __init__(self) -> None:
        super().__init__()
        for labels in LABELS.values():
            self.started[labels] = self.received[labels] = self.sent[labels] = 0
            for name in CODE_NAMES.values():
                self.handled[name, *labels] = 0
