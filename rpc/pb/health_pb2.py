"""Generated from health.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\x0chealth.proto\x12\x0egrpc.health.v1".\n\x12HealthCheckRequest\x12\x18\n\x07service\x18\x01 \x01(\tR\x07s'
    b'ervice"\xb1\x01\n\x13HealthCheckResponse\x12I\n\x06status\x18\x01 \x01(\x0e21.grpc.health.v1.HealthCh'
    b'eckResponse.ServingStatusR\x06status"O\n\rServingStatus\x12\x0b\n\x07UNKNOWN\x10\x00\x12\x0b\n\x07SERVI'
    b'NG\x10\x01\x12\x0f\n\x0bNOT_SERVING\x10\x02\x12\x13\n\x0fSERVICE_UNKNOWN\x10\x032\xae\x01\n\x06Health\x12P\n\x05Check\x12".grpc.he'
    b'alth.v1.HealthCheckRequest\x1a#.grpc.health.v1.HealthCheckResponse\x12R\n\x05Watch'
    b'\x12".grpc.health.v1.HealthCheckRequest\x1a#.grpc.health.v1.HealthCheckRespons'
    b'e0\x01b\x06proto3'
)
