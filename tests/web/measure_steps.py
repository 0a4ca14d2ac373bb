"""What a step costs in Chromium: `python -m tests.web.measure_steps ARTIFACT`, and `--help`.

Steps of one token in WebAssembly over caches of several lengths, split into what ONNX Runtime's API copies in and out
and what it computes, then the same graph in Python with as many threads. On WebGPU, steps at one length over two
capacities of the cache; `--wasm` leaves those out. Lengths take turns. Other work on a machine only slows steps down,
so the fastest of many is told, and of capacities the median of the ratios of steps side by side. What was measured is
printed where a later part fails, which ends with 1.
"""

import json
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tests.web.workspace import ENGINE, run

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.providers.ort import import_onnxruntime

TOKENS, STEPS, THREADS = (512, 2048, 6144), 30, 1
AT, CAPACITIES = 512, (1024, 8192)  # on WebGPU


def main(artifact: Path, tokens: list[int], steps: int, threads: int, *, webgpu: bool) -> None:
    """Print a table of each part."""
    graph = "cpu.onnx"
    rows = [[one, one] for one in tokens]
    asked = [{"provider": "wasm", "graph": graph, "rows": rows, "steps": steps, "threads": threads}]
    if webgpu:
        rows = [[AT, capacity] for capacity in CAPACITIES]
        asked.append({"provider": "webgpu", "graph": "webgpu-float32.onnx", "rows": rows, "steps": steps})
    (wasm, *gpu), failed = in_chromium(artifact, asked)
    print(f"{graph}, ms a step on {threads} thread{'s' * (threads > 1)}, the fastest of {steps}")
    print("tokens | WebAssembly | copies | computes | MB copied")
    for one in wasm:
        if one["ms"]:
            ms, copied = min(one["ms"]), min(one["copied"])
            share = f"{copied:.2f} ({100 * copied / ms:.0f} %) | {ms - copied:.2f} | {one['bytes'] / 1e6:.1f}"
            print(f"{one['tokens']:,} | {ms:.2f} | {share}", flush=True)
    for both in gpu:
        if len(both) == len(CAPACITIES) and all(len(one["ms"]) == steps for one in both):
            small, large = both
            ratio = np.median(np.array(large["ms"]) / np.array(small["ms"]))
            print(f"webgpu-float32.onnx at {AT} tokens, ms a step by capacity, medians of {steps}")
            told = [f"{one['room']:,}: {np.median(one['ms']):.1f}" for one in both]
            print(f"{' | '.join(told)}, median of ratios {ratio:.2f} ×", flush=True)
            print("of one step by capacity: workgroups, bytes copied, bytes cleared")
            told = [f"{one['room']:,}: {one['groups']:,}, {one['moved']:,}, {one['cleared']:,}" for one in both]
            print(" | ".join(told), flush=True)
    print(f"{graph} in Python, ms a step on as many threads, the fastest of {steps}")
    for length, ms in in_python(artifact, graph, tokens, steps, threads):
        print(f"{length:,} | {ms:.2f}", flush=True)
    if failed:
        sys.exit(failed)


def in_chromium(artifact: Path, asked: list[dict[str, object]]) -> tuple[list[list[dict[str, Any]]], str]:
    """The rows of each request as far as they came, and what went wrong ("" for nothing)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.json"
        file.write_text(json.dumps(asked), encoding="utf-8")
        places = {"THINKPORT_ARTIFACT": str(artifact.resolve()), "THINKPORT_STEPS": str(file)}
        done = run(ENGINE, "vitest", "run", "tests/measure.test.ts", **places)
        found = Path(f"{file}.out")
        if not found.is_file():
            sys.exit(done.stdout + done.stderr)
        parts = json.loads(found.read_text(encoding="utf-8"))
        problems = [part["problem"] for part in parts]
        problems += [
            f"{one['tokens']} tokens: {one['problem']}" for part in parts for one in part["rows"] if one["problem"]
        ]
        told = "\n".join(problem for problem in problems if problem)
        return [part["rows"] for part in parts], told or ("" if done.returncode == 0 else done.stdout + done.stderr)


def in_python(artifact: Path, file: str, tokens: list[int], steps: int, threads: int) -> Iterator[tuple[int, float]]:
    """Milliseconds of a step of the standard graph by length, over lengths that grow."""
    manifest = read_manifest(artifact)
    graph = next(graph for graph in manifest.graphs if graph.file == file)
    lane = Session(import_onnxruntime(), artifact, graph, manifest.model, threads).open_lane()
    for wanted in tokens:
        while lane.length < wanted:
            ids = np.arange(lane.length, min(wanted, lane.length + graph.prefill_chunk))
            lane.step(ids[None] * 7 % manifest.model.vocab_size)
        times = []
        for step in range(steps):
            begun = perf_counter()
            lane.step(np.array([[step]]))
            times.append(1000 * (perf_counter() - begun))
        yield wanted, min(times)


def read_arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--tokens", default=",".join(map(str, TOKENS)))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--wasm", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    given = read_arguments()
    lengths = sorted(int(word) for word in given.tokens.split(","))
    main(given.artifact, lengths, given.steps, given.threads, webgpu=not given.wasm)
