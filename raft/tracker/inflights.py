"""The window of append messages that are sent and not yet acknowledged."""

from __future__ import annotations

from collections import deque

from ..errors import InvariantBroken

__all__ = ["Inflights"]


class Inflights:
    """Bounded by messages and, when `bytes_max` is not 0, by bytes.

    The bound on bytes is soft: the message that reaches it is still let in.
    """

    __slots__ = ("_sent", "bytes", "bytes_max", "messages_max")

    def __init__(self, messages_max: int, bytes_max: int = 0) -> None:
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self.bytes = 0
        self._sent: deque[tuple[int, int]] = deque()  # (last index, bytes) per message, in order

    def add(self, index: int, size: int) -> None:
        """A message whose last entry is `index`, with `size` bytes of payload, is sent."""
        if self.full:
            raise InvariantBroken("cannot add into a Full inflights")
        self._sent.append((index, size))
        self.bytes += size

    def free_to(self, index: int) -> None:
        """Everything up to `index` is acknowledged."""
        sent = self._sent
        while sent and sent[0][0] <= index:
            self.bytes -= sent.popleft()[1]

    @property
    def full(self) -> bool:
        """No more messages can be sent now."""
        return len(self._sent) >= self.messages_max or 0 < self.bytes_max <= self.bytes

    @property
    def count(self) -> int:
        """The number of messages under way."""
        return len(self._sent)

    def reset(self) -> None:
        self._sent.clear()
        self.bytes = 0

    def copy(self) -> Inflights:
        other = Inflights(self.messages_max, self.bytes_max)
        other._sent = self._sent.copy()
        other.bytes = self.bytes
        return other
