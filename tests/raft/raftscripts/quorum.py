"""Scripts of what majorities and joint majorities decide."""

from __future__ import annotations

from triode.raft.quorum import INDEX_MAX, JointConfig, committed_index, describe, vote_result

from .format import BadScript, Directive, number

__all__ = ["COMMANDS", "quorum"]

COMMANDS = frozenset(("committed", "vote"))


def quorum(directive: Directive) -> str:
    """`committed` and `vote` for one set of voters, or for two with `cfgj`."""
    options = directive.options
    if directive.name not in COMMANDS:
        raise BadScript("unknown command; `committed` and `vote` are known")
    for key in options.keys() - {"cfg", "cfgj", "idx", "votes"}:
        raise BadScript(f"unknown argument {key}")
    first = [number(voter) for voter in options.get("cfg", [])]
    second = [number(voter) for voter in options.get("cfgj", []) if voter != "zero"]
    config = JointConfig(frozenset(first), frozenset(second))
    swapped = JointConfig(config.outgoing, config.incoming)
    joint = "cfgj" in options
    in_order = list(dict.fromkeys(first + second))
    values = options.get("idx" if directive.name == "committed" else "votes", [])
    for value in values:
        if directive.name == "vote" and value not in ("y", "n", "_"):
            raise BadScript(f"unknown vote {value}")
        if directive.name == "committed" and value != "_" and number(value) == 0:
            raise BadScript("cannot use 0 as idx")
    if len(values) != len(in_order):
        listed = " ".join({"_": "0", "n": "1", "y": "2"}.get(value, value) for value in values)
        voters = " ".join(f"{voter}:{{}}" for voter in sorted(in_order))
        return f"error: mismatched input (explicit or _) for voters map[{voters}]: [{listed}]"
    told = {voter: value for voter, value in zip(in_order, values, strict=True) if value != "_"}
    if directive.name == "vote":
        votes = {voter: value == "y" for voter, value in told.items()}
        result = config.vote_result(votes) if joint else vote_result(config.incoming, votes)
        assert swapped.vote_result(votes) is result
        return result.value
    acked = {voter: int(value) for voter, value in told.items()}

    def lookup(voter: int) -> int:
        return acked.get(voter, 0)

    if joint:
        index = config.committed_index(lookup)
        chart = config.describe(acked)
    else:
        index = committed_index(config.incoming, lookup)
        chart = describe(config.incoming, acked)
        assert JointConfig(config.incoming, config.incoming).committed_index(lookup) == index
    assert swapped.committed_index(lookup) == index
    return chart + ("∞" if index == INDEX_MAX else str(index))
