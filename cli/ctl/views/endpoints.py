"""What each endpoint says of itself. Several answers are one view: a list in JSON, rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ....rpc.pb.rpc_pb2 import HashKVResponse, StatusResponse
from ...common.errors import complain
from ...common.goquote import quote
from ...common.output import Output
from ...common.sizes import human_size
from ..gojson import dumps, message_value
from ..view import View
from .header import header_fields

__all__ = ["EndpointHealth", "HashKVView", "HealthView", "StatusView"]

Table = tuple[Sequence[str], Sequence[Sequence[str]]]

STATUS_HEADER = (
    "endpoint",
    "ID",
    "version",
    "storage version",
    "db size",
    "in use",
    "percentage not in use",
    "quota",
    "is leader",
    "is learner",
    "raft term",
    "raft index",
    "raft applied index",
    "errors",
    "downgrade target version",
    "downgrade enabled",
)


@attrs.frozen
class EndpointHealth:
    """Whether an endpoint is healthy; `error` says why not."""

    endpoint: str
    healthy: bool
    took: str = ""  # Go's duration
    error: str = ""


class HealthView(View):
    """`endpoint health`."""

    def __init__(self, answers: Sequence[EndpointHealth]) -> None:
        self._answers = answers

    def simple(self, out: Output) -> None:
        for one in self._answers:
            if not one.error:
                out.line(
                    f"{one.endpoint} is healthy: successfully committed proposal: took = {one.took}"
                )
                continue
            out.flush()
            complain(
                f"{one.endpoint} is unhealthy: failed to commit proposal: {one.error}", prefix=""
            )

    def fields(self, out: Output) -> None:
        for one in self._answers:
            out.line(f'"Endpoint" : {quote(one.endpoint)}')
            out.line(f'"Health" : {_bool(one.healthy)}')
            out.line(f'"Took" : {one.took}')
            out.line(f'"Error" : {one.error}')
            out.line()

    def json(self) -> str:
        return dumps([self._value(one) for one in self._answers])

    @staticmethod
    def _value(one: EndpointHealth) -> dict[str, Any]:
        value = {"endpoint": one.endpoint, "health": one.healthy, "took": one.took}
        return value | {"error": one.error} if one.error else value

    def table(self) -> Table:
        rows = [(one.endpoint, _bool(one.healthy), one.took, one.error) for one in self._answers]
        return ("endpoint", "health", "took", "error"), rows


class StatusView(View):
    """`endpoint status`."""

    def __init__(self, answers: Sequence[tuple[str, StatusResponse]]) -> None:
        self._answers = answers

    def simple(self, out: Output) -> None:
        for row in self._rows():
            out.line(", ".join(row))

    def fields(self, out: Output) -> None:
        for endpoint, status in self._answers:
            header_fields(out, status.header, hex=self.hex)
            out.line(f'"Version" : {quote(status.version)}')
            out.line(f'"StorageVersion" : {quote(status.storageVersion)}')
            out.line(f'"DBSize" : {status.dbSize}')
            out.line(f'"DBSizeInUse" : {status.dbSizeInUse}')
            out.line(f'"DBSizeQuota" : {status.dbSizeQuota}')
            out.line(f'"Leader" : {status.leader}')
            out.line(f'"IsLearner" : {_bool(status.isLearner)}')
            out.line(f'"RaftIndex" : {status.raftIndex}')
            out.line(f'"RaftTerm" : {status.raftTerm}')
            out.line(f'"RaftAppliedIndex" : {status.raftAppliedIndex}')
            out.line(f'"Errors" : [{" ".join(status.errors)}]')
            out.line(f'"Endpoint" : {quote(endpoint)}')
            target = status.downgradeInfo.targetVersion
            out.line(f'"DowngradeTargetVersion" : {quote(target)}')
            out.line(f'"DowngradeEnabled" : {_bool(status.downgradeInfo.enabled)}')
            out.line()

    def json(self) -> str:
        return dumps(
            [
                {"Endpoint": endpoint, "Status": message_value(status)}
                for endpoint, status in self._answers
            ]
            or None
        )

    def table(self) -> Table:
        return STATUS_HEADER, self._rows()

    def _rows(self) -> list[tuple[str, ...]]:
        return [self._row(endpoint, status) for endpoint, status in self._answers]

    @staticmethod
    def _row(endpoint: str, status: StatusResponse) -> tuple[str, ...]:
        return (
            endpoint,
            f"{status.header.member_id:x}",
            status.version,
            status.storageVersion,
            human_size(status.dbSize),
            human_size(status.dbSizeInUse),
            f"{_percentage_unused(status)}%",
            human_size(status.dbSizeQuota),
            _bool(status.leader == status.header.member_id),
            _bool(status.isLearner),
            str(status.raftTerm),
            str(status.raftIndex),
            str(status.raftAppliedIndex),
            ", ".join(status.errors),
            status.downgradeInfo.targetVersion,
            _bool(status.downgradeInfo.enabled),
        )


class HashKVView(View):
    """`endpoint hashkv`."""

    def __init__(self, answers: Sequence[tuple[str, HashKVResponse]]) -> None:
        self._answers = answers

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (endpoint, str(answer.hash), str(answer.hash_revision))
            for endpoint, answer in self._answers
        ]

    def simple(self, out: Output) -> None:
        for row in self._rows():
            out.line(", ".join(row))

    def fields(self, out: Output) -> None:
        for endpoint, answer in self._answers:
            header_fields(out, answer.header, hex=self.hex)
            out.line(f'"Endpoint" : {quote(endpoint)}')
            out.line(f'"Hash" : {answer.hash}')
            out.line(f'"HashRevision" : {answer.hash_revision}')
            out.line()

    def json(self) -> str:
        return dumps(
            [
                {"Endpoint": endpoint, "HashKV": message_value(answer)}
                for endpoint, answer in self._answers
            ]
            or None
        )

    def table(self) -> Table:
        return ("endpoint", "hash", "hash_revision"), self._rows()


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _percentage_unused(status: StatusResponse) -> int:
    """Of the database file. A member of 3.3 does not say how much is in use."""
    if status.dbSize <= 0:
        return 0
    return 100 - status.dbSizeInUse * 100 // status.dbSize
