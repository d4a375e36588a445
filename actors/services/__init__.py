"""The RPC services of a node: one module for each of etcd's, over the parts in `NodeContext`."""

from __future__ import annotations
