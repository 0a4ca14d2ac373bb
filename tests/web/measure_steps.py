"""What a step costs in Chromium: `python -m tests.web.measure_steps ARTIFACT [TOKENS ...]`.

Steps of one token in WebAssembly over caches of several lengths, what of each is copying in and out of ONNX Runtime's
API, and the same graph in Python; both on one thread. On WebGPU, steps at one length over two capacities of the cache;
`--wasm` leaves those out. Other work on a machine only slows steps down, so the fastest of many is told.
"""

import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from tests.web.workspace import ENGINE, run

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.providers.ort import import_onnxruntime

TOKENS, STEPS = (512, 2048, 6144), 30
AT, CAPACITIES = 512, (1024, 8192)  # on WebGPU
THREADS = 1


def main(artifact: Path, tokens: list[int], *, webgpu: bool) -> None:
    """Print both tables."""
    graph = "cpu.onnx"
    asked = [
        {"provider": "wasm", "graph": graph, "rows": [[one, one] for one in tokens], "steps": STEPS, "threads": THREADS}
    ]
    if webgpu:
        rows = [[AT, capacity] for capacity in CAPACITIES]
        asked.append({"provider": "webgpu", "graph": "webgpu-float32.onnx", "rows": rows, "steps": STEPS})
    wasm, *gpu = in_chromium(artifact, asked)
    print(f"{graph}, ms a step on one thread, the fastest of {STEPS}")
    print("tokens | WebAssembly | of it copying | MB copied | Python")
    for one, python in zip(wasm, in_python(artifact, graph, tokens), strict=True):
        share = 100 * one["copied"] / one["ms"]
        copied = f"{one['copied']:.2f} ({share:.0f} %) | {one['bytes'] / 1e6:.1f}"
        print(f"{one['tokens']:,} | {one['ms']:.2f} | {copied} | {python:.2f}")
    for small, large in gpu:
        print(f"webgpu-float32.onnx at {AT} tokens, ms a step by capacity")
        ratio = large["ms"] / small["ms"]
        print(f"{small['room']:,}: {small['ms']:.1f} | {large['room']:,}: {large['ms']:.1f}, {ratio:.2f} ×")


def in_chromium(artifact: Path, asked: list[dict[str, object]]) -> list[list[dict[str, float]]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.json"
        file.write_text(json.dumps(asked), encoding="utf-8")
        places = {"THINKPORT_ARTIFACT": str(artifact.resolve()), "THINKPORT_STEPS": str(file)}
        done = run(ENGINE, "vitest", "run", "tests/measure.test.ts", **places)
        found = Path(f"{file}.out")
        if not found.is_file():
            sys.exit(done.stdout + done.stderr)
        steps: list[list[dict[str, float]]] = json.loads(found.read_text(encoding="utf-8"))
        return steps


def in_python(artifact: Path, file: str, tokens: list[int]) -> list[float]:
    """Milliseconds of a step of the standard graph."""
    manifest = read_manifest(artifact)
    graph = next(graph for graph in manifest.graphs if graph.file == file)
    session = Session(import_onnxruntime(), artifact, graph, manifest.model, THREADS)
    found = []
    for held in tokens:
        lane = session.open_lane()
        ids = np.arange(held)[None] * 7 % manifest.model.vocab_size
        for at in range(0, held, graph.prefill_chunk):
            lane.step(ids[:, at : at + graph.prefill_chunk])
        times = []
        for step in range(STEPS):
            begun = perf_counter()
            lane.step(np.array([[step]]))
            times.append(1000 * (perf_counter() - begun))
        found.append(min(times))
    return found


if __name__ == "__main__":
    named = [word for word in sys.argv[1:] if not word.startswith("--")]
    main(Path(named[0]), [int(word) for word in named[1:]] or list(TOKENS), webgpu="--wasm" not in sys.argv)
