"""Interpreters of etcd-io/raft's datadriven scripts; `run` plays a file or a directory of them."""

from __future__ import annotations

from .format import BadScript, Directive, parse
from .run import Failure, main, play, scripts_in

__all__ = ["BadScript", "Directive", "Failure", "main", "parse", "play", "scripts_in"]
