"""Measures what several clients get of an artifact at the same time, in shared steps."""

import json
import sys
from pathlib import Path

from thinkport.deploy.bench.clients import shared_speeds
from thinkport.deploy.bench.contender import BenchPlan


def main() -> None:
    """Measure and write."""
    asked = json.loads(sys.argv[2])
    engine, together = shared_speeds(
        Path(sys.argv[1]),
        BenchPlan(
            contexts=tuple(asked["contexts"]),
            clients=tuple(asked["clients"]),
            threads=asked["threads"],
            steps=asked["steps"],
            provider=asked["provider"],
            kernels=asked["kernels"],
        ),
    )
    sys.stdout.write(json.dumps({"engine": engine, "together": together}) + "\n")


if __name__ == "__main__":
    main()
