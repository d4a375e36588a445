"""`python -m benchmarks [NAME ...] [--full]`: run our benchmarks, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(
    path.stem
    for path in HERE.glob("*.py")
    if path.stem not in ("client", "side_by_side", "startup")  # these need the real etcd
    and not path.stem.startswith(("_", "cluster_"))
)


def main() -> int:
    """Each in a process of its own, so that none measures what another left behind."""
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--")] or NAMES
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    quick = [] if "--full" in sys.argv else ["--quick"]
    failed = 0
    for name in wanted:
        print(f"\n== {name}", flush=True)
        failed |= subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *quick], cwd=HERE.parent, check=False
        ).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
