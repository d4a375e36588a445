"""A node in your program that other programs reach: the system chooses the port."""

from __future__ import annotations

import http.client
import json

import trio

import triode


def ask_version(port: int) -> str:
    """What any HTTP client sees."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/version")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["etcdserver"])


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with triode.open_node(config) as node:
        port = node.clients.ports[0]
        version = await trio.to_thread.run_sync(ask_version, port)
        print(f"a client at {node.client_urls[0].replace(str(port), 'PORT')} sees etcd {version}")


if __name__ == "__main__":
    trio.run(main)
