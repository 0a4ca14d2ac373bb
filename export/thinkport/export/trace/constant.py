"""Reading and making constants of a graph."""

from typing import Any

import numpy as np
import numpy.typing as npt
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


def fixed(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """A constant as an initializer of the graph, made once a name."""
    if name not in graph.initializers:
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
        graph.register_initializer(value)
    return graph.initializers[name]


def floats(graph: ir.Graph, name: str, numbers: npt.ArrayLike) -> ir.Value:
    """A float32 scalar or tensor as an initializer of the graph, made once a name."""
    return fixed(graph, name, np.asarray(numbers, np.float32))


def integers(graph: ir.Graph, name: str, numbers: list[int] | int) -> ir.Value:
    """An int64 scalar or vector as an initializer of the graph, made once a name."""
    return fixed(graph, name, np.asarray(numbers, np.int64))
