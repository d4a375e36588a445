"""What leases cost a member that has a hundred thousand of them.

python benchmarks/lease.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.mvcc.lease import Lessor

TTL = 60


def timed(name: str, count: int, work: Callable[[], None]) -> None:
    begin = time.perf_counter()
    work()
    spent = time.perf_counter() - begin
    print(f"{name:<28} {spent / count * 1e6:8.2f} µs each {spent * 1e3:10.1f} ms in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    count = 10_000 if parser.parse_args().quick else 100_000
    lessor = Lessor(Backend(MemoryEngine.open(None, EngineOptions())))
    ids = range(1, count + 1)

    def grant() -> None:
        for lease_id in ids:
            lessor.grant(lease_id, TTL, 0.0)

    def attach() -> None:
        for lease_id in ids:
            lessor.attach(lease_id, b"key/%08d" % lease_id)

    def keep_alive() -> None:
        for lease_id in ids:
            lessor.keep_alive(lease_id, 1.0)

    def expire() -> None:
        now, left = 2.0 + TTL, count
        while left:
            for lease_id in lessor.expired(now):
                lessor.revoke(lease_id)
                left -= 1
            now += 0.5

    timed("grant", count, grant)
    timed("attach a key", count, attach)
    timed("promote, per lease", count, lambda: lessor.promote(0.0, 1.0))
    timed("keep alive", count, keep_alive)
    timed("expire and revoke", count, expire)


if __name__ == "__main__":
    main()
