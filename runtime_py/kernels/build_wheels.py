"""Makes the kernels' wheels for several systems, with Zig's compiler: `python build_wheels.py --output DIR [SYSTEM …]`.

Needs the packages `hatchling` and `ziglang`, and nothing from a network.
"""

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
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
    missing = [name for name in ("hatchling", "ziglang") if find_spec(name) is None]
    if missing:
        parser.error(f"{' and '.join(missing)} not installed: run {sys.executable} -m pip install {' '.join(missing)}")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    for name in options.systems or SYSTEMS:
        told = {**os.environ, SYSTEM: name}
        done = subprocess.run(
            [*command, str(options.output.absolute())], cwd=Path(__file__).parent, env=told, check=False
        )
        if done.returncode:
            raise SystemExit(f"no wheel for {name}: its compilation failed, see above")


if __name__ == "__main__":
    main()
