"""`triodectl`: etcdctl's commands, flags, output and exit codes, for Triode and for etcd."""

from __future__ import annotations
