"""Testing your own code against a real etcd API, in milliseconds and without a container.

Run with pytest; the fixture gives each test a fresh node.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import triode
from triode.rpc.pb.rpc_pb2 import Compare, PutRequest, RequestOp, TxnRequest


@asynccontextmanager
async def fresh_node() -> AsyncIterator[triode.Node]:
    """Make this a fixture of pytest-trio in your own tests."""
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node:
        yield node


async def take_job(node: triode.Node, job: bytes, worker: bytes) -> bool:
    """The code under test: only one worker gets the job."""
    free = Compare(key=job, target=Compare.CREATE, result=Compare.EQUAL, create_revision=0)
    take = RequestOp(request_put=PutRequest(key=job, value=worker))
    return (await node.local.txn(TxnRequest(compare=[free], success=[take]))).succeeded


async def test_a_job_is_taken_once() -> None:
    async with fresh_node() as node:
        assert await take_job(node, b"job/1", b"anna")
        assert not await take_job(node, b"job/1", b"bert")


if __name__ == "__main__":
    trio.run(test_a_job_is_taken_once)
    print("the job was taken once")
