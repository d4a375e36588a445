"""Play directories of interaction scripts: `make raft-scripts DIR=...`."""

from __future__ import annotations

import sys

from raftscripts.run import main  # type: ignore[import-not-found]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
