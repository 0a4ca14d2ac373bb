"""Small graphs written as text, and outputs on ONNX Runtime, for tests of single passes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx_ir.passes import common

from thinkport.export.passes.contract import GraphPass
from thinkport.export.trace.initializers import source_of
from thinkport.export.trace.simplify import quiet

Arrays = Mapping[str, NDArray[Any]]

_HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>'


def graph(text: str, **constants: NDArray[Any]) -> ir.Model:
    """A model in ONNX's text form, shapes inferred; `constants` become the initializers of those names."""
    with quiet("onnx_ir"):  # it warns of names that become initializers below
        model = ir.from_onnx_text(f"{_HEADER} {text}")
    for node in model.graph:
        for index, value in enumerate(node.inputs):
            if value is not None and value.name in constants and not value.is_initializer():
                node.replace_input_with(index, _initializer(model.graph, value.name, constants[value.name]))
    common.ShapeInferencePass()(model)
    return model


def _initializer(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    if name not in graph.initializers:
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        graph.register_initializer(value)
    return graph.initializers[name]


def without_values(model: ir.Model, *names: str) -> ir.Model:
    """The same model, whose named initializers are weights that the writer will fill in."""
    for name in names:
        model.graph.initializers[name].const_value = None
    return model


def ops(model: ir.Model) -> list[str]:
    """Operators in graph order."""
    return [node.op_type for node in model.graph]


def names_of(model: ir.Model, op_type: str) -> list[str]:
    """Names of the nodes of one operator."""
    return [node.name or "" for node in model.graph if node.op_type == op_type]


def run(model: ir.Model, feeds: Arrays, weights: Arrays | None = None) -> dict[str, NDArray[Any]]:
    """All outputs by name; an initializer without a value is stacked from `weights`, checkpoint tensors by name."""
    whole = model.clone()
    for name, value in whole.graph.initializers.items():
        source = source_of(value)
        if source is not None and weights is not None:
            array = weights[name] if name in weights else np.concatenate([weights[part] for part in source.tensors])
            value.const_value = ir.tensor(array, name=name)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    whole.graph.opset_imports.update({"com.microsoft": 1})
    session = ort.InferenceSession(ir.to_proto(whole).SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [value.name for value in session.get_outputs()]
    return dict(zip(outputs, session.run(None, dict(feeds)), strict=True))


def fired(graph_pass: GraphPass, model: ir.Model) -> int:
    """Run a pass with its post-condition and count its firings."""
    graph_pass(model)
    return len(graph_pass.fired)


def normal(*shape: int) -> NDArray[Any]:
    """Fresh normal numbers, other ones in every run."""
    return np.random.default_rng().normal(size=shape).astype(np.float32)


def integers(*numbers: int) -> NDArray[Any]:
    """An int64 vector."""
    return np.array(numbers, np.int64)


def number(value: float) -> NDArray[Any]:
    """A float32 scalar."""
    return np.array(value, np.float32)
