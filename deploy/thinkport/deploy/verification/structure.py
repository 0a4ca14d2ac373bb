"""Whether the files of an artifact fit one another: graphs and manifest, goldens and vocabulary.

Opens no graph in ONNX Runtime.
"""

from collections.abc import Iterator
from pathlib import Path

from thinkport.deploy.kernels.graph_file import read_graph
from thinkport.deploy.verification.check import Check
from thinkport.runtime.artifact.goldens import read_goldens
from thinkport.runtime.artifact.manifest import Graph, Manifest
from thinkport.runtime.errors import ThinkportError


def structure_checks(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """One check a graph, and one of the goldens."""
    for graph in manifest.graphs:
        yield _graph(folder, graph)
        if graph.prefill is not None:
            yield _graph(folder, graph.prefill.graph)
    if manifest.certificate is not None:
        yield _goldens(folder / manifest.certificate.goldens, manifest)


def _graph(folder: Path, graph: Graph) -> Check:
    name = f"structure of {graph.file}"
    try:
        found = read_graph(folder / graph.file)
    except ThinkportError as error:
        return Check(name=name, passed=False, detail=str(error))
    expected = {spec.name for spec in graph.inputs}
    if found.inputs - set(found.sizes) != expected - set(found.sizes) or len(found.nodes) != graph.nodes:
        detail = f"{len(found.nodes)} nodes and inputs that the manifest doesn't list, expected {graph.nodes} nodes"
        return Check(name=name, passed=False, detail=f"{detail}: export the artifact again")
    return Check(name=name, passed=True, detail=f"{graph.nodes:,} nodes, inputs as the manifest lists them")


def _goldens(path: Path, manifest: Manifest) -> Check:
    name = f"structure of {path.name}"
    try:
        goldens = read_goldens(path)
    except ThinkportError as error:
        return Check(name=name, passed=False, detail=str(error))
    largest = max(int(golden.ids.max()) for golden in goldens)
    if largest >= manifest.model.vocab_size:
        detail = f"an id {largest} and a vocabulary of {manifest.model.vocab_size}: export the artifact again"
        return Check(name=name, passed=False, detail=detail)
    names = {golden.name for golden in goldens}
    figures = manifest.certificate.figures if manifest.certificate else []
    unknown = {name for figure in figures for name in figure.prompts or ()} - names
    if unknown:
        detail = f"no {', '.join(sorted(unknown))}, which the certificate speaks of: export the artifact again"
        return Check(name=name, passed=False, detail=detail)
    rows = sum(len(golden.rows) for golden in goldens)
    return Check(name=name, passed=True, detail=f"{len(goldens)} prompts, {rows} positions")
