"""Feature gates: etcd's switches for what is not, or not yet, for everybody.

`feature-gates` is a text such as `CompactHashCheck=true,AllAlpha=false`. Two gates of etcd are switches here, too.
The others name what Triode always does or never does: those are locked to what is true, and setting one to it is
no error, so that a manifest of etcd's is understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .errors import ConfigError

__all__ = ["COMPACT_HASH_CHECK", "INITIAL_CORRUPT_CHECK", "enabled", "parse", "stages"]

INITIAL_CORRUPT_CHECK: Final = "InitialCorruptCheck"
"""Compare hashes with the other members at start, and do not start if they differ."""
COMPACT_HASH_CHECK: Final = "CompactHashCheck"
"""The leader compares the hashes that all members store at compactions."""

ALL_ALPHA: Final = "AllAlpha"
ALL_BETA: Final = "AllBeta"
_ALPHA: Final[Mapping[str, bool]] = {INITIAL_CORRUPT_CHECK: False, COMPACT_HASH_CHECK: False}
_LOCKED: Final[Mapping[str, bool]] = {
    "FastLeaseKeepAlive": True,
    "LeaseCheckpoint": True,
    "LeaseCheckpointPersist": True,
    "PriorityRequest": False,
    "SetMemberLocalAddr": False,
    "StopGRPCServiceOnDefrag": False,
    "TxnModeWriteWithSharedBuffer": True,
}
_BETA: Final = frozenset({"FastLeaseKeepAlive", "TxnModeWriteWithSharedBuffer"})
# the values that Go's strconv.ParseBool takes
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse(text: str) -> dict[str, bool]:
    """Whether each switchable gate is on.

    Raises:
        ConfigError: an unknown gate, no or a wrong value, or the other value of a locked gate; etcd's words.
    """
    given: dict[str, bool] = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ConfigError(f"feature-gates: missing bool value for {name}")
        if value not in _TRUE | _FALSE:
            raise ConfigError(
                f"feature-gates: invalid value of {name}={value}; it is neither true nor false"
            )
        given[name] = value in _TRUE
    for name, on in given.items():
        if name in (ALL_ALPHA, ALL_BETA) or name in _ALPHA:
            continue
        if name not in _LOCKED:
            raise ConfigError(f"feature-gates: unrecognized feature gate: {name}")
        if on is not _LOCKED[name]:
            raise ConfigError(
                f"feature-gates: cannot set feature gate {name} to {str(on).lower()},"
                f" feature is locked to {str(_LOCKED[name]).lower()}"
            )
    everything = given.get(ALL_ALPHA)
    return {
        name: given.get(name, default if everything is None else everything)
        for name, default in _ALPHA.items()
    }


def stages(text: str) -> dict[str, tuple[str, bool]]:
    """Of every gate its stage in etcd, ALPHA or BETA, and whether it is on with these `feature-gates`."""
    on = {**_LOCKED, **parse(text)}
    return {name: ("BETA" if name in _BETA else "ALPHA", on[name]) for name in sorted(on)}


def enabled(text: str, gate: str) -> bool:
    """Whether `gate` is on with these `feature-gates`."""
    return parse(text)[gate]
