"""A node inside a Trio web server: its pages count visits in the store, which other programs reach as etcd.

The server is a few lines of plain Trio, so that nothing has to be installed; with Quart-Trio or Hypercorn, open the node
where the application starts.
"""

from __future__ import annotations

from functools import partial

import trio

import triode


async def count_visit(client: triode.Client, path: str) -> int:
    """One more, whoever else counts at the same time."""

    async def more(stm: triode.Stm) -> int:
        visits = int(await stm.get(f"visits{path}") or 0) + 1
        stm.put(f"visits{path}", str(visits))
        return visits

    return await client.stm(more)


async def serve_visitor(client: triode.Client, stream: trio.SocketStream) -> None:
    async with stream:
        head = b""
        while b"\r\n\r\n" not in head and (more := await stream.receive_some(4096)):
            head += more
        path = head.split(b" ")[1].decode()
        body = f"visit {await count_visit(client, path)} of {path}".encode()
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (len(body), body)
        )


async def fetch(port: int, path: str) -> str:
    """What a browser would do."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        return b"".join([part async for part in stream]).decode().partition("\r\n\r\n")[2]


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with (
        triode.open_node(config) as node,
        node.client() as client,
        trio.open_nursery() as nursery,
    ):
        listeners = await nursery.start(
            partial(trio.serve_tcp, partial(serve_visitor, client), 0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        for path in ("/", "/about", "/"):
            print(await fetch(port, path))
        # Another program sees the same numbers, by etcd's API.
        async with triode.connect(node.client_urls[0]) as other:
            async for kv in other.scan(triode.prefix("visits/")):
                print(kv.key.decode(), kv.value.decode())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
