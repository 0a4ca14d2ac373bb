"""Writes graph files. All but the smallest initializers lie in `weights.bin`.

Knows onnx_ir's external tensors. Must not know how a weight is quantized.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT
from thinkport.export.passes.native import NATIVE
from thinkport.export.trace.initializers import source_of
from thinkport.export.trace.names import LOGITS_TO_KEEP, OPSET, ROWS
from thinkport.export.write.blobs import Layout

ReadTensor = Callable[[str], np.ndarray]

_IR_VERSION = 10  # ONNX 1.16: what opset 21 needs, and what every supported ONNX Runtime reads


def write_graph(
    model: ir.Model,
    path: Path,
    layout: Layout,
    weights: str,
    read: ReadTensor,
    derived: Mapping[str, np.ndarray],
) -> None:
    """Give every initializer its value and save the graph.

    Args:
        model: the finished graph; its initializers get their values in place.
        path: the `.onnx` file to write.
        layout: what lies where in `weights.bin`.
        weights: the name of that file, beside `path`.
        read: a small checkpoint tensor by name, float32.
        derived: buffers that no checkpoint holds (rotary's frequencies), by name.
    """
    for name, value in model.graph.initializers.items():
        assert value.dtype is not None
        assert value.shape is not None
        blob = layout.place(value)
        if blob is not None:
            value.const_value = ir.ExternalTensor(
                weights, blob.offset, blob.nbytes, value.dtype, shape=value.shape, name=name, base_dir=path.parent
            )
        elif (source := source_of(value)) is not None:
            array = np.concatenate([derived[n] if n in derived else read(n) for n in source.tensors])
            value.const_value = ir.tensor(array.astype(value.dtype.numpy()), name=name)
    _forget_the_trace(model.graph)
    model.ir_version = _IR_VERSION
    model.graph.opset_imports.clear()
    model.graph.opset_imports.update({"": OPSET, MICROSOFT: 1})
    if any(node.domain == NATIVE for node in model.graph):
        model.graph.opset_imports[NATIVE] = 1
    model.producer_name, model.producer_version = "thinkport", None
    ir.save(model, path)


def write_one_row_graph(model: ir.Model, path: Path) -> None:
    """Save a written graph again as onnxruntime-genai needs it: one row of logits, declared as one.

    That runtime (0.18) takes a literal 1 in the declared shape of logits as the sign that a prefill gives one row.
    Without it, it makes room for one row a token, and the first prompt fails (measured). It never feeds
    `logits_to_keep`, so that input's default becomes a constant. The model is changed in place. The file is small:
    weights stay where they are.
    """
    graph = model.graph
    graph.inputs[:] = [value for value in graph.inputs if value.name != LOGITS_TO_KEEP]
    for node in graph:
        for value in node.outputs:
            if value.shape is not None:
                value.shape = ir.Shape([1 if dim == ROWS else dim for dim in value.shape])
    ir.save(model, path)


def _forget_the_trace(graph: ir.Graph) -> None:
    """Drop the tracer's notes: stack traces with paths of the exporting machine. No reader needs them."""
    computed = (value for node in graph for value in node.outputs)
    for noted in (graph, *graph, *computed, *graph.inputs, *graph.initializers.values()):
        noted.doc_string = None
        noted.metadata_props.clear()
