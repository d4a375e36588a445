"""Resident memory for 100 000 keys of 256 bytes, ours and the real etcd's, filled alike."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import grpc

from benchmarks import side_by_side
from triode.rpc.pb.rpc_pb2 import (
    PutRequest,
    RequestOp,
    TxnRequest,
    TxnResponse,
)

PUTS_PER_TXN = 100
VALUE = b"v" * 256


def fill(server: side_by_side.Server, keys: int) -> None:
    """Put `keys` keys, a hundred in each transaction."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        txn = channel.unary_unary(
            "/etcdserverpb.KV/Txn", TxnRequest.SerializeToString, TxnResponse.FromString
        )
        for first in range(0, keys, PUTS_PER_TXN):
            ops = [
                RequestOp(request_put=PutRequest(key=b"key/%012d" % number, value=VALUE))
                for number in range(first, first + PUTS_PER_TXN)
            ]
            txn(TxnRequest(success=ops))


def main() -> None:
    """Print the memory before and after, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 000 keys")
    keys = 10_000 if parser.parse_args().quick else 100_000
    with tempfile.TemporaryDirectory() as name:
        pair: list[side_by_side.Server] = []
        try:
            pair += [side_by_side.ours(Path(name), "sqlite"), side_by_side.etcd(Path(name))]
            after = []
            for server in pair:
                before = server.memory_mib()
                fill(server, keys)
                after.append(server.memory_mib())
                print(
                    f"{server.name}: {before:.0f} MiB empty, {after[-1]:.0f} MiB with {keys} keys"
                )
            print(f"ours / etcd: {after[0] / after[1]:.2f}")
        finally:
            for server in pair:
                server.stop()


if __name__ == "__main__":
    main()
