"""Writes docs/configuration.md from `triode.config.Config`: `python docs/generate_configuration.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from triode.cli.daemon import shown
from triode.config import Bytes, Config, Milliseconds, Seconds, Urls
from triode.settings import NOT_YET, kind_of

PAGE = Path(__file__).with_name("configuration.md")
KINDS = {
    Seconds: "duration",
    Milliseconds: "milliseconds",
    Bytes: "size",
    Urls: "URLs",
    int: "number",
    bool: "boolean",
    str: "text",
    Path: "path",
}
HEAD = """# Configuration

<!-- Written by docs/generate_configuration.py from config.py; edit those. -->

Every setting has one name, etcd's. It can be given as

- a flag of `triode`: `--election-timeout 2000`, or with one dash as Go programs take it, `-election-timeout=2000`;
- a variable: `TRIODE_ELECTION_TIMEOUT=2000`;
- a key of the TOML file that `--config-file` (or `TRIODE_CONFIG_FILE`) names: `election-timeout = 2000`;
- a field of `triode.Config`, with `_` for `-`, when a node is embedded: `Config(election_timeout=2.0)`. Durations are
  seconds there, sizes are bytes.

Flags and variables win over the file. The same setting as a flag *and* as a variable is an error, as with etcd. What
cannot be understood is an error that names the place and says what would be right; nothing is ignored silently
but variables that begin with `TRIODE_` and mean nothing, which are warned of.

| kind | how to write it |
|---|---|
| duration | with a unit: `100ms`, `1.5s`, `1h30m` |
| milliseconds | a bare number of milliseconds, as etcd has it, or with a unit |
| size | a number of bytes, or with a unit: `512KiB`, `2GiB`, `1MB` |
| URLs | one, or several with commas; in TOML also a list |
| boolean | `true` or `false`; as a flag, the name alone means `true` |

An example:

```toml
name = "one"
data-dir = "/var/lib/triode"
listen-client-urls = ["http://127.0.0.1:2379", "unix:///run/triode.sock"]
quota-backend-bytes = "8GiB"
auto-compaction-mode = "periodic"
auto-compaction-retention = "12h"
log-format = "console"
```
"""
REFUSED = """
## Flags of etcd that are refused

They end the start with the reason, because ignoring them would be worse.

| setting | why |
|---|---|
"""


def reference() -> str:
    """The whole page."""
    sections: dict[str, list[str]] = {}
    for field in attrs.fields(Config):
        sections.setdefault(field.metadata["section"], []).append(_row(field))
    parts = [HEAD]
    for section, rows in sections.items():
        parts.append(
            f"\n## {section}\n\n| setting | kind | default | meaning |\n|---|---|---|---|\n"
        )
        parts.extend(rows)
    parts.append(REFUSED)
    parts.extend(f"| `{name}` | {reason} |\n" for name, reason in NOT_YET.items())
    return "".join(parts)


def _row(field: Any) -> str:
    name = field.name.replace("_", "-")
    choices = field.metadata["choices"]
    kind = " or ".join(f"`{choice}`" for choice in choices) or KINDS[kind_of(name)]
    default = shown(field.name, field.default)
    cell = f"`{default}`" if default else ""
    return f"| `{name}` | {kind} | {cell} | {field.metadata['help']} |\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
