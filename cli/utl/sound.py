"""Whether a bbolt file may be trusted, before anything is read out of it."""

from __future__ import annotations

from ...backends.bbolt_check import bbolt_problems
from ...backends.bbolt_file import BboltView
from ...errors import CorruptData
from .progress import progress

__all__ = ["check_pages"]


def check_pages(view: BboltView, what: str) -> None:
    """Raise CorruptData, in etcdutl's words, if a page of the file is not as it must be."""
    with progress("checking pages", view.meta.pages) as on_pages:
        problems = bbolt_problems(view, lambda: on_pages(1))
    if problems:
        lines = "\n".join(problems)
        raise CorruptData(f"{what} integrity check failed. {len(problems)} errors found.\n{lines}")
