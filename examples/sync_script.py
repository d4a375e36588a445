"""A script without Trio: the same client, in plain Python.

    python examples/sync_script.py [ENDPOINT ...]

Without an endpoint, it starts a node that serves, in a thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio

import triode


@contextmanager
def endpoints() -> Iterator[tuple[str, ...]]:
    """Of the command line, or of a node of our own, as some other program would run one."""
    if sys.argv[1:]:
        yield tuple(sys.argv[1:])
        return
    ready, stop = threading.Event(), trio.Event()
    found: list[str] = []
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
        async with triode.open_node(config) as node:
            found.extend(node.client_urls)
            tokens.append(trio.lowlevel.current_trio_token())
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    ready.wait()
    try:
        yield tuple(found)
    finally:
        trio.from_thread.run_sync(stop.set, trio_token=tokens[0])
        thread.join()


def main() -> None:
    with endpoints() as urls, triode.connect_sync(*urls) as client:
        client.put("config/host", "db-1")
        client.put("config/port", "5432")
        for kv in client.range(triode.prefix("config/")).kvs:
            print(kv.key.decode(), "=", kv.value.decode())
        with client.lock("deploy", ttl=10) as lock:
            done = client.txn().when(lock.held).then(triode.put("config/host", "db-2")).commit()
            print("changed while locked:", bool(done))
        with client.watch("config/host", start_revision=2) as watch:
            for event in watch:
                print("then", event.value.decode())
                if event.value == b"db-2":
                    break


if __name__ == "__main__":
    main()
