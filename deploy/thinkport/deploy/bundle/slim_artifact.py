"""An artifact with the graphs of some targets only: which files stay, and the manifest that says so.

Nothing is copied: files that stay are the artifact's own.
"""

import json
from collections.abc import Collection, Iterator

from thinkport.deploy.genai_files import genai_graph_name, overlay_name
from thinkport.runtime.artifact.manifest import Graph, Manifest
from thinkport.runtime.artifact.manifest_seal import OPEN, sealed


def slim_manifest(manifest: Manifest, targets: Collection[str]) -> Manifest:
    """The manifest with the graphs of these targets, their figures, and the files that are still used."""
    graphs = [graph for graph in manifest.graphs if graph.target in targets]
    kept = {name for graph in graphs for name in _files_of(graph)}
    dropped = {name for graph in manifest.graphs for name in _files_of(graph)} - kept
    certificate = manifest.certificate
    if certificate is not None:
        figures = [figure for figure in certificate.figures if figure.graph not in dropped]
        certificate = certificate.model_copy(update={"figures": figures})
    files = {name: record for name, record in manifest.files.items() if name not in dropped}
    return manifest.model_copy(
        update={"graphs": graphs, "files": files, "certificate": certificate, "manifest_sha256": OPEN}
    )


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as a file, sealed with its own hash."""
    return sealed((json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode())


def _files_of(graph: Graph) -> Iterator[str]:
    yield graph.file
    yield genai_graph_name(graph.file)
    yield overlay_name(graph.file)
    if graph.prefill is not None:
        yield graph.prefill.graph.file
