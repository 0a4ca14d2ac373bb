"""What a graph file says of its weights: whether they are rounded.

Knows initializers and the external files that hold them; reads no weight.
"""

from pathlib import Path

import onnx_ir as ir

from thinkport.runtime.artifact.manifest import Graph

_WHOLE = {ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL}


def is_exact(folder: Path, graph: Graph) -> bool:
    """Whether nothing in the graph is rounded below float32: neither weights nor the KV cache."""
    return graph.kv.dtype == "float32" and all(value.dtype in _WHOLE for value in _initializers(folder, graph))


def _initializers(folder: Path, graph: Graph) -> list[ir.Value]:
    return list(ir.load(folder / graph.file).graph.initializers.values())
