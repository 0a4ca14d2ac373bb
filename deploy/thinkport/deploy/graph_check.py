"""Holds an artifact's graphs against a target's kernels. Knows the manifest; what a kernel is lies in `kernels`."""

from collections.abc import Mapping
from pathlib import Path

from thinkport.deploy.kernels import KernelReport, check
from thinkport.deploy.kernels.kernel_list import kernel_list
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.errors import InputError


def check_graphs(folder: Path, target: str, *, graph: str | None = None) -> Mapping[str, KernelReport]:
    """What each graph's nodes would do on a target, by file name.

    Without `graph`, the artifact's graphs for that target. A graph for the target is
    held against the oldest ONNX Runtime that the artifact says it runs on, another one against the target's oldest.

    Raises:
        ArtifactError: no artifact, or no graph there.
        InputError: a target without a kernel list or without a graph here, or a graph that the artifact does not list.
    """
    kernel_list(target)
    manifest = read_manifest(folder)
    graphs = [*manifest.graphs, *(one.prefill.graph for one in manifest.graphs if one.prefill is not None)]
    chosen = [one for one in graphs if (one.target == target if graph is None else one.file == graph)]
    files = ", ".join(one.file for one in graphs)
    if not chosen and graph is not None:
        raise InputError(f"the artifact lists no graph {graph!r}, expected one of: {files}")
    if not chosen:
        raise InputError(
            f"the artifact has no graph for {target}, only {files}: export with --target {target}, or name one with "
            "--graph to see what it would lose there"
        )
    floors = {one.file: one.onnxruntime_floor if one.target == target else None for one in chosen}
    return {file: check(folder / file, target, version=floor) for file, floor in floors.items()}
