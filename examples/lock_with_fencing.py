"""Why a lock needs a fencing token: a holder that sleeps through the end of its lease must not write afterwards.

A lock in etcd hangs on a lease. Who is stopped for longer than the lease lives wakes up, does not know yet that
somebody else has the lock, and writes. The store below refuses it, because it has seen a newer token.
"""

from __future__ import annotations

import trio

import triode


class Store:
    """Something outside of etcd that the lock protects: it refuses whoever comes with an old token."""

    def __init__(self) -> None:
        self.newest_token = 0
        self.lines: list[str] = []

    def write(self, line: str, token: int) -> bool:
        if token < self.newest_token:
            return False
        self.newest_token = token
        self.lines.append(line)
        return True


async def sleeper(
    client: triode.Client, store: Store, asleep: trio.Event, wake: trio.Event
) -> None:
    """Gets the lock first, and is then stopped: while it is, nothing reaches it, not even LeaseLost."""
    async with client.lock("report", ttl=10) as lock:
        print("sleeper writes:", store.write("from the sleeper", lock.token))
        with trio.CancelScope(shield=True):
            asleep.set()
            await wake.wait()
            print("sleeper writes:", store.write("from the sleeper, too late", lock.token))
            guarded = client.txn().when(lock.held).then(triode.put("report", "too late"))
            print("sleeper writes to etcd:", bool(await guarded.commit()))


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    store, asleep, wake = Store(), trio.Event(), trio.Event()
    async with triode.open_node(config) as node, node.client() as client:
        async with client.lease(60) as mine, trio.open_nursery() as nursery:
            nursery.start_soon(sleeper, client, store, asleep, wake)
            await asleep.wait()
            # Its time is up. (So that nobody has to wait for that here, somebody revokes the lease.)
            for lease in (await client.leases()).leases:
                if mine.id != lease.ID:
                    await client.revoke(lease.ID)
            async with client.lock("report", lease=mine) as lock:
                print("the next one writes:", store.write("from the next one", lock.token))
            wake.set()
        print(store.lines)


if __name__ == "__main__":
    trio.run(main)
