"""The flags that every command of triodectl takes, with etcdctl's names and defaults."""

from __future__ import annotations

from typing import Final

from ..common.flags import Flag

__all__ = ["FORMATS", "GLOBAL_FLAGS"]

FORMATS: Final = ("fields", "json", "protobuf", "simple", "table")

GLOBAL_FLAGS: Final = (
    Flag.texts("endpoints", "gRPC endpoints", default=("127.0.0.1:2379",)),
    Flag.switch("debug", "enable client-side debug logging"),
    Flag.text(
        "write-out",
        "set the output format (fields, json, protobuf, simple, table)",
        default="simple",
        short="w",
        choices=FORMATS,
    ),
    Flag.switch("hex", "print byte strings as hex encoded strings"),
    Flag.seconds("dial-timeout", "dial timeout for client connections", default=2.0),
    Flag.seconds(
        "command-timeout",
        "timeout for short running command (excluding dial timeout)",
        default=5.0,
    ),
    Flag.seconds("keepalive-time", "keepalive time for client connections", default=2.0),
    Flag.seconds("keepalive-timeout", "keepalive timeout for client connections", default=6.0),
    Flag.number(
        "max-request-bytes",
        "client-side request send limit in bytes (if 0, it defaults to 2.0 MiB (2 * 1024 * 1024).)",
    ),
    Flag.number(
        "max-recv-bytes",
        'client-side response receive limit in bytes (if 0, it defaults to "math.MaxInt32")',
    ),
    Flag.switch(
        "insecure-transport", "disable transport security for client connections", default=True
    ),
    Flag.switch(
        "insecure-discovery",
        "accept insecure SRV records describing cluster endpoints",
        default=True,
    ),
    Flag.switch(
        "insecure-skip-tls-verify",
        "skip server certificate verification"
        " (CAUTION: this option should be enabled only for testing purposes)",
    ),
    Flag.text("cert", "identify secure client using this TLS certificate file"),
    Flag.text("key", "identify secure client using this TLS key file"),
    Flag.text("cacert", "verify certificates of TLS-enabled secure servers using this CA bundle"),
    Flag.text(
        "user", "username[:password] for authentication (prompt if password is not supplied)"
    ),
    Flag.text(
        "password",
        "password for authentication"
        " (if this option is used, --user option shouldn't include password)",
    ),
    Flag.text(
        "discovery-srv",
        "domain name to query for SRV records describing cluster endpoints",
        short="d",
    ),
    Flag.text("discovery-srv-name", "service name to query when using DNS discovery"),
)
