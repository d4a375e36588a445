"""Which of a member's URLs to try."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["UrlPicker"]


class UrlPicker:
    """The URLs of one member: one is used until it fails, then the next."""

    __slots__ = ("_at", "urls")

    def __init__(self, urls: Sequence[str]) -> None:
        self.update(urls)

    def update(self, urls: Sequence[str]) -> None:
        """The member has new URLs; at least one."""
        self.urls = tuple(urls)
        self._at = 0

    def pick(self) -> str:
        """The URL to use now; raises OSError if the member has none."""
        if not self.urls:
            raise OSError("the member has no peer URL")
        return self.urls[self._at]

    def failed(self, url: str) -> None:
        """`url` did not work; it is nothing new if another has been picked since."""
        if self.urls and self.urls[self._at] == url:
            self._at = (self._at + 1) % len(self.urls)
