"""Whether a written graph runs where it is meant to: every node against its provider's kernels, before anyone tries.

Knows a graph's record and the checker. Opens no ONNX Runtime.
"""

from pathlib import Path

from thinkport.deploy.kernels import check
from thinkport.export.errors import GraphError
from thinkport.runtime.artifact.manifest import Graph


def check_kernels(folder: Path, graph: Graph) -> None:
    """Refuse a graph of which a node would leave its provider, in the oldest ONNX Runtime that the graph is for.

    A graph as traced is a yardstick, which runs where ONNX Runtime puts it.

    Raises:
        GraphError: a node has no kernel there, or breaks one's requirements; each is named.
    """
    if not graph.fused:
        return
    problems = check(folder / graph.file, graph.target, version=graph.onnxruntime_floor).problems
    if problems:
        raise GraphError(
            f"{graph.file} does not run whole on {graph.providers[0]} of ONNX Runtime {graph.onnxruntime_floor}: "
            f"{'; '.join(problems)}. Report it with the checkpoint's name"
        )
