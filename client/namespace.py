"""A part of the key space as if it were all of it: every key gets a prefix on its way out, and loses it coming in.

Pure: the modules that send keys ask a `Namespace` for what to send (`full`, `full_range`), and what came back
goes through `local` or `strip`. `ROOT` is the namespace of everything, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from ..rpc.pb.kv_pb2 import KeyValue
from .keys import OPEN_END, KeyLike, Keys, KeysLike, as_bytes, keys_of, prefix_end

__all__ = ["ROOT", "Namespace"]


@attrs.frozen
class Namespace:
    """Maps keys of a user to keys of the cluster.

    Attributes:
        prefix: what all keys begin with, in the cluster.
    """

    prefix: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.prefix)

    def full(self, key: KeyLike) -> bytes:
        """The cluster's name of a key. An empty key stays one, so that the server refuses it."""
        raw = as_bytes(key)
        return self.prefix + raw if raw else raw

    def full_range(self, keys: KeysLike) -> Keys:
        """The cluster's name of a range of keys; a range without an end ends where the namespace does."""
        wanted = keys_of(keys)
        if not self.prefix or not wanted.key:
            return wanted
        if not wanted.range_end:
            return Keys(self.prefix + wanted.key)
        # The key that is the prefix itself has no name here: "from the first key" is from prefix + b"\0" on.
        end = wanted.range_end
        last = prefix_end(self.prefix) if end == OPEN_END else self.prefix + end
        return Keys(self.prefix + wanted.key, last)

    def local(self, key: bytes) -> bytes:
        """The user's name of a key that came from the cluster."""
        return key[len(self.prefix) :] if self.prefix else key

    def strip(self, pairs: Iterable[KeyValue]) -> None:
        """Give pairs that came from the cluster their local names, in place."""
        size = len(self.prefix)
        if size:
            for pair in pairs:
                pair.key = pair.key[size:]

    def inner(self, prefix: KeyLike) -> Namespace:
        """A namespace within this one."""
        return Namespace(self.prefix + as_bytes(prefix))


ROOT: Final = Namespace()
"""All keys, as they are."""
