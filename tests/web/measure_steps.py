"""What a step costs in Chromium: `python -m tests.web.measure_steps ARTIFACT`, and `--help`.

Steps of one token in WebAssembly over caches of several lengths, what of each is copying in and out of ONNX Runtime's
API, and the same graph in Python; both on one thread. On WebGPU, steps at one length over two capacities of the cache;
`--wasm` leaves those out. Lengths take turns. Other work on a machine only slows steps down, so the fastest of many is
told, and of capacities the median of the ratios of steps side by side.
"""

import json
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tests.web.workspace import ENGINE, run

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.providers.ort import import_onnxruntime

TOKENS, STEPS = (512, 2048, 6144), 30
AT, CAPACITIES = 512, (1024, 8192)  # on WebGPU
THREADS = 1


def main(artifact: Path, tokens: list[int], steps: int, *, webgpu: bool) -> None:
    """Print both tables."""
    graph = "cpu.onnx"
    asked = [
        {"provider": "wasm", "graph": graph, "rows": [[one, one] for one in tokens], "steps": steps, "threads": THREADS}
    ]
    if webgpu:
        rows = [[AT, capacity] for capacity in CAPACITIES]
        asked.append({"provider": "webgpu", "graph": "webgpu-float32.onnx", "rows": rows, "steps": steps})
    wasm, *gpu = in_chromium(artifact, asked)
    print(f"{graph}, ms a step on one thread, the fastest of {steps}")
    print("tokens | WebAssembly | of it copying | MB copied | Python")
    for one, python in zip(wasm, in_python(artifact, graph, tokens, steps), strict=True):
        ms, copied = min(one["ms"]), min(one["copied"])
        share = f"{copied:.2f} ({100 * copied / ms:.0f} %) | {one['bytes'] / 1e6:.1f}"
        print(f"{one['tokens']:,} | {ms:.2f} | {share} | {python:.2f}")
    for small, large in gpu:
        ratio = np.median(np.array(large["ms"]) / np.array(small["ms"]))
        print(f"webgpu-float32.onnx at {AT} tokens, ms a step by capacity, medians of {steps}")
        told = [f"{one['room']:,}: {np.median(one['ms']):.1f}" for one in (small, large)]
        print(f"{' | '.join(told)}, median of ratios {ratio:.2f} ×")


def in_chromium(artifact: Path, asked: list[dict[str, object]]) -> list[list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.json"
        file.write_text(json.dumps(asked), encoding="utf-8")
        places = {"THINKPORT_ARTIFACT": str(artifact.resolve()), "THINKPORT_STEPS": str(file)}
        done = run(ENGINE, "vitest", "run", "tests/measure.test.ts", **places)
        found = Path(f"{file}.out")
        if not found.is_file():
            sys.exit(done.stdout + done.stderr)
        steps: list[list[dict[str, Any]]] = json.loads(found.read_text(encoding="utf-8"))
        return steps


def in_python(artifact: Path, file: str, tokens: list[int], steps: int) -> list[float]:
    """Milliseconds of a step of the standard graph, over lengths that grow."""
    manifest = read_manifest(artifact)
    graph = next(graph for graph in manifest.graphs if graph.file == file)
    lane = Session(import_onnxruntime(), artifact, graph, manifest.model, THREADS).open_lane()
    found = []
    for wanted in tokens:
        while lane.length < wanted:
            ids = np.arange(lane.length, min(wanted, lane.length + graph.prefill_chunk))
            lane.step(ids[None] * 7 % manifest.model.vocab_size)
        times = []
        for step in range(steps):
            begun = perf_counter()
            lane.step(np.array([[step]]))
            times.append(1000 * (perf_counter() - begun))
        found.append(min(times))
    return found


def read_arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--tokens", default=",".join(map(str, TOKENS)))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--wasm", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    given = read_arguments()
    main(given.artifact, sorted(int(word) for word in given.tokens.split(",")), given.steps, webgpu=not given.wasm)
