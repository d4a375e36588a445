"""Members that have come to rest are equal: revision, compact revision, HashKV."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .violation import Violation

__all__ = ["HashSample", "check_hashes", "check_rest"]


@attrs.frozen
class HashSample:
    """One answer of HashKV. `revision` is the one that was hashed, `compact_revision` the member's."""

    member: int
    revision: int
    compact_revision: int
    hash: int


def check_hashes(samples: Iterable[HashSample]) -> list[Violation]:
    """At equal revisions, with equal compact revisions, hashes are equal: at any time."""
    first: dict[tuple[int, int], HashSample] = {}
    found = []
    for sample in samples:
        other = first.setdefault((sample.revision, sample.compact_revision), sample)
        if other.hash != sample.hash:
            text = (
                f"at revision {sample.revision} (compacted at {sample.compact_revision}) member "
                f"{other.member:x} has {other.hash:08x}, member {sample.member:x} has {sample.hash:08x}"
            )
            found.append(Violation("equal hashes", text))
    return found


def check_rest(samples: Iterable[HashSample]) -> list[Violation]:
    """When nothing moves any more, all members are at one revision and one compact revision."""
    samples = list(samples)
    found = check_hashes(samples)
    for name in ("revision", "compact_revision"):
        values = {getattr(sample, name) for sample in samples}
        if len(values) > 1:
            who = ", ".join(f"{s.member:x}: {getattr(s, name)}" for s in samples)
            word = name.replace("_", " ")
            found.append(Violation("equal members", f"the {word} differs at rest: {who}"))
    return found
