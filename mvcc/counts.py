"""What a store has done since it was opened, for whoever shows metrics: plain adds, nothing else.

What is counted is what etcd counts, so that dashboards agree: a put of a transaction is a put, each
comparison reads and is a range, and so is the look at a previous value.
"""

from __future__ import annotations

__all__ = ["Counts"]


class Counts:
    """Totals of one store.

    Attributes:
        ranges, puts, deletes: operations carried out, those within transactions too.
        put_bytes: bytes of the keys and values of the puts.
        txns: transactions of more than one of these, see `txn`.
        compacted: rows that compactions have removed.
    """

    __slots__ = ("compacted", "deletes", "put_bytes", "puts", "ranges", "txns")

    def __init__(self) -> None:
        self.ranges = self.puts = self.deletes = 0
        self.put_bytes = 0
        self.txns = 0
        self.compacted = 0
