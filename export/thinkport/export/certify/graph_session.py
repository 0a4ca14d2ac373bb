"""A graph of an artifact that has no manifest yet, in the installed ONNX Runtime."""

from pathlib import Path

from thinkport.runtime.manifest import Graph, ModelShape
from thinkport.runtime.ort import AUTO, choose_graph, import_onnxruntime
from thinkport.runtime.session import Session


def open_session(folder: Path, graph: Graph, model: ModelShape) -> Session:
    """Load the graph as the runtime would.

    Raises:
        MissingExtraError: no ONNX Runtime is installed.
        ArtifactError: the installed one can't run the graph.
    """
    ort = import_onnxruntime(graph.target)
    chosen = choose_graph([graph], AUTO, ort.get_available_providers(), ort.__version__)
    return Session(ort, folder, chosen, model)
