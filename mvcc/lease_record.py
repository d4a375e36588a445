"""A lease, and its bytes in the "lease" bucket.

leasepb.Lease: ID 1, TTL 2, RemainingTTL 3, zeros left out. The key is the id as eight bytes, big-endian
two's complement, so negative ids sort behind positive ones.
"""

from __future__ import annotations

from ..errors import CorruptData
from ..protowire import fields, int_field, signed

__all__ = ["BUCKET", "NO_LEASE", "Lease", "decode", "encode", "key_of"]

BUCKET = "lease"
NO_LEASE = 0
FOREVER = float("inf")


class Lease:
    """One lease.

    Attributes:
        ttl: seconds, as granted after raising it to the minimum.
        remaining_ttl: seconds left at the last checkpoint, 0 for none: what a new leader starts from.
        expiry: on the primary's clock; infinite elsewhere.
        keys: the keys attached to it.
        checkpoint_planned: it stands in the checkpoint queue.
        proposed: the number of the last checkpoint that this primary has proposed and that was not cleared since.
        revoked: gone; entries in queues are stale.
    """

    __slots__ = (
        "checkpoint_planned",
        "expiry",
        "id",
        "keys",
        "proposed",
        "remaining_ttl",
        "revoked",
        "ttl",
    )

    def __init__(self, id: int, ttl: int, remaining_ttl: int = 0) -> None:
        self.id = id
        self.ttl = ttl
        self.remaining_ttl = remaining_ttl
        self.expiry = FOREVER
        self.keys: set[bytes] = set()
        self.checkpoint_planned = False
        self.proposed = 0
        self.revoked = False

    def __repr__(self) -> str:
        return f"<lease {self.id:x} ttl {self.ttl} keys {len(self.keys)} expiry {self.expiry}>"

    @property
    def term_seconds(self) -> int:
        """How long it lives from a promotion on."""
        return self.remaining_ttl or self.ttl


def key_of(lease_id: int) -> bytes:
    return lease_id.to_bytes(8, "big", signed=True)


def encode(lease: Lease) -> bytes:
    return int_field(1, lease.id) + int_field(2, lease.ttl) + int_field(3, lease.remaining_ttl)


def decode(key: bytes, value: bytes) -> Lease:
    """Raises CorruptData for anything that `encode` does not write."""
    numbers = {1: 0, 2: 0, 3: 0}
    try:
        for number, item in fields(value):
            if number in numbers and isinstance(item, int):
                numbers[number] = signed(item)
    except ValueError as e:
        raise CorruptData(f"lease {key.hex()}: {e}") from e
    if key_of(numbers[1]) != key:
        raise CorruptData(f"lease {key.hex()}: holds the record of lease {numbers[1]:x}")
    return Lease(numbers[1], numbers[2], numbers[3])
