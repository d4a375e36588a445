"""What Triode is and what it says it is."""

from __future__ import annotations

TRIODE_VERSION = "0.1.0"

SERVER_VERSION = "3.6.0"
"""The etcd release whose behaviour is reported to clients."""
CLUSTER_VERSION = "3.6.0"
STORAGE_VERSION = "3.6.0"
API_VERSION = "3.6"
