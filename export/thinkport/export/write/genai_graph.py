"""A graph as onnxruntime-genai needs it: one row of logits, declared as one.

That runtime (0.18) takes a literal 1 in the declared shape of logits as the sign that a prefill gives one row. It
makes room for a row a token otherwise, and the first prompt fails (measured). It never feeds `logits_to_keep`.
"""

from pathlib import Path

import onnx_ir as ir

from thinkport.export.trace import names


def write_one_row_graph(model: ir.Model, path: Path) -> None:
    """Save a finished and written graph again, without `logits_to_keep`: what was its default is now a constant.

    The model is changed in place. The file is small, since its weights stay where they are.
    """
    graph = model.graph
    graph.inputs[:] = [value for value in graph.inputs if value.name != names.LOGITS_TO_KEEP]
    for node in graph:
        for value in node.outputs:
            if value.shape is not None:
                value.shape = ir.Shape([1 if dim == names.ROWS else dim for dim in value.shape])
    ir.save(model, path)
