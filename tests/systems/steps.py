"""steps.py ARTIFACT GRAPH IDS.npy FOUND.npy: logits of a prompt's last KEPT tokens and of STEPS more, on WebGPU.

The prompt goes in pieces of at most CHUNK, the last STEPS ids one by one. GRAPH is the file of a graph for WebGPU; it
runs on the plugin's first device. A program for a process of its own that needs no more than a bundle's packages.
"""

import sys
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.providers.ort import import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins

CHUNK = 31  # wider steps are wrong on devices of few lanes
KEPT, STEPS = 8, 8  # logits of all rows would be most of a software adapter's work


def main(folder: Path, file: str, ids_file: Path, found_file: Path) -> None:
    """Run the ids, and print how far it is."""
    ids, ort, manifest = np.load(ids_file), import_onnxruntime(), read_manifest(folder)
    graph = next(one for one in manifest.graphs if one.file == file)
    device = Plugins(ort).devices(graph.providers[0])[0]
    begun = perf_counter()
    session = Session(ort, folder, graph, manifest.model, device=device)
    print(f"{device}: loaded in {perf_counter() - begun:.1f} s")
    lane, prompt, rows = session.open_lane(), len(ids) - STEPS, []
    ends = [*range(0, prompt - KEPT, CHUNK), prompt - KEPT, *range(prompt, len(ids) + 1)]
    for start, stop in pairwise(ends):
        rows.append(lane.step(ids[None, start:stop], keep=KEPT if stop == prompt else 1)[0].copy())
        print(f"{stop} tokens after {perf_counter() - begun:.1f} s", flush=True)
    np.save(found_file, np.concatenate(rows)[-KEPT - STEPS :])


if __name__ == "__main__":
    _, folder, file, ids, found = sys.argv
    main(Path(folder), file, Path(ids), Path(found))
