"""Holds an artifact's graphs against a target's kernels. Knows the manifest; what a kernel is lies in `kernels`."""

from collections.abc import Mapping
from pathlib import Path

from thinkport.deploy.kernels import KernelReport, check
from thinkport.deploy.kernels.kernel_list import kernel_list
from thinkport.runtime.artifact.manifest import Graph, Manifest, read_manifest
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
    chosen = [_named(manifest, graph)] if graph is not None else _for_target(manifest, target)
    return {
        entry.file: check(
            folder / entry.file, target, version=entry.onnxruntime_floor if entry.target == target else None
        )
        for entry in chosen
    }


def _for_target(manifest: Manifest, target: str) -> list[Graph]:
    found = [entry for entry in _all(manifest) if entry.target == target]
    if not found:
        files = ", ".join(entry.file for entry in manifest.graphs)
        raise InputError(
            f"the artifact has no graph for {target}, only {files}: export with --target {target}, or name one with "
            "--graph to see what it would lose there"
        )
    return found


def _all(manifest: Manifest) -> list[Graph]:
    prefills = [entry.prefill.graph for entry in manifest.graphs if entry.prefill is not None]
    return [*manifest.graphs, *prefills]


def _named(manifest: Manifest, file: str) -> Graph:
    for entry in _all(manifest):
        if entry.file == file:
            return entry
    listed = ", ".join(entry.file for entry in _all(manifest))
    raise InputError(f"the artifact lists no graph {file!r}, expected one of: {listed}")
