"""Reading constants of a graph."""

import numpy as np
import onnx_ir as ir


def constant(value: ir.Value | None) -> np.ndarray | None:
    """The value of a constant of the graph; None for anything computed, fed or read from a checkpoint."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The value of a one-element constant; None for anything else."""
    found = constant(value)
    return None if found is None or found.size != 1 else float(found.reshape(-1)[0])


def integers(graph: ir.Graph, name: str, numbers: list[int]) -> ir.Value:
    """An int64 vector as an initializer of the graph, made once a name."""
    if name not in graph.initializers:
        array = np.array(numbers, np.int64)
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.type, value.shape = ir.TensorType(ir.DataType.INT64), ir.Shape(array.shape)
        graph.register_initializer(value)
    return graph.initializers[name]
