"""Initializers of a graph: constants, and weights, whose bytes come from rows of checkpoint tensors.

Passes move and stack the sources of weights; only the writer turns a source into bytes.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

_KEY = "thinkport.source"

Part = Literal["whole", "codes", "points", "scales"]


@dataclass(frozen=True, kw_only=True)
class WeightSource:
    """Checkpoint tensors stacked along their rows; `part` names the part of their quantized form.

    They are one matrix, or several of `per_matrix` tensors each, whose rows alternate if they are `interleaved`. `role`
    is the family's role; None for `whole`, which is float32. `rows` are the first of the stacked rows that it is and
    the one behind its last; None for all.
    """

    tensors: tuple[str, ...]
    part: Part = "whole"
    role: str | None = None
    per_matrix: int | None = None
    interleaved: bool = False
    rows: tuple[int, int] | None = None

    @property
    def matrices(self) -> list[tuple[str, ...]]:
        """The tensors of each matrix; all tensors of a matrix are multiplied with the same inputs."""
        size = self.per_matrix or len(self.tensors)
        return [self.tensors[at : at + size] for at in range(0, len(self.tensors), size)]


def source_of(value: ir.Value) -> WeightSource | None:
    """The source of an initializer that has no value yet; None for a constant or a computed value."""
    if not value.is_initializer() or value.const_value is not None:
        return None
    found = value.meta.get(_KEY)
    return found if isinstance(found, WeightSource) else WeightSource(tensors=(value.name or "",))


def dims(value: ir.Value | None) -> tuple[int, ...]:
    """The shape of an initializer, all of whose dimensions are numbers."""
    assert value is not None
    assert value.shape is not None
    return value.shape.numpy()


def new_weight(
    graph: ir.Graph, name: str, dtype: ir.DataType, shape: tuple[int, ...], source: WeightSource
) -> ir.Value:
    """An initializer whose bytes the writer will take from `source`; each name is made once."""
    if name not in graph.initializers:
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        value.meta[_KEY] = source
        graph.initializers[name] = value
    return graph.initializers[name]


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
    """A constant as an initializer of the graph; each name is made once."""
    if name not in graph.initializers:
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
        graph.register_initializer(value)
    return graph.initializers[name]


def floats(graph: ir.Graph, name: str, numbers: npt.ArrayLike) -> ir.Value:
    """A float32 scalar or tensor as an initializer of the graph; each name is made once."""
    return fixed(graph, name, np.asarray(numbers, np.float32))


def integers(graph: ir.Graph, name: str, numbers: list[int] | int) -> ir.Value:
    """An int64 scalar or vector as an initializer of the graph; each name is made once."""
    return fixed(graph, name, np.asarray(numbers, np.int64))
