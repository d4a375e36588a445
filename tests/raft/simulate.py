"""Simulate clusters of the bare Raft library from seeds; `docs/raft.md` says what is checked.

python tests/raft/simulate.py --seeds 0:10000      many, with how fast it was
python tests/raft/simulate.py --seed 17 --trace    one again, telling what happens
"""

from __future__ import annotations

import sys

from raftsim.run import main  # type: ignore[import-not-found]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
