"""Makes the kernels' wheels for several systems, with Zig's compiler: `python build_wheels.py --output DIR [SYSTEM …]`.

Needs the packages `build` and `ziglang`.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from compile_library import SYSTEM, SYSTEMS


def main() -> None:
    """Make a wheel for each system that is named, for all without one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"of {', '.join(SYSTEMS)}; all if none is named")
    parser.add_argument("--output", type=Path, required=True, help="the folder that the wheels go into")
    options = parser.parse_args()
    unknown = set(options.systems) - set(SYSTEMS)
    if unknown:
        parser.error(f"no system {', '.join(sorted(unknown))}, expected of: {', '.join(SYSTEMS)}")
    for name in options.systems or SYSTEMS:
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--outdir",
            str(options.output),
            str(Path(__file__).parent),
        ]
        subprocess.run(command, check=True, env={**os.environ, SYSTEM: name})


if __name__ == "__main__":
    main()
