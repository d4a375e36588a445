"""How responses are shown: one class per response, one method per output format."""

from __future__ import annotations
