"""Where an initializer's bytes come from: rows of checkpoint tensors, as they are or quantized.

Passes move and stack sources; only the writer turns one into bytes.
"""

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

_KEY = "thinkport.source"

Part = Literal["whole", "codes", "scales", "int8", "int8_scales"]
DERIVED: frozenset[Part] = frozenset({"int8", "int8_scales"})


@dataclass(frozen=True, kw_only=True)
class WeightSource:
    """Checkpoint tensors stacked along their rows; `part` is the part of their quantized form that is meant.

    No artifact holds the int8 form of a quantized weight; each machine derives it.
    `role` is the family's role; None for `whole`, which is float32.
    """

    tensors: tuple[str, ...]
    part: Part = "whole"
    role: str | None = None


def source_of(value: ir.Value) -> WeightSource | None:
    """The source of an initializer that has no value yet; None for a constant or a computed value."""
    if not value.is_initializer() or value.const_value is not None:
        return None
    found = value.meta.get(_KEY)
    return found if isinstance(found, WeightSource) else WeightSource(tensors=(value.name or "",))


def new_weight(
    graph: ir.Graph, name: str, dtype: ir.DataType, shape: tuple[int, ...], source: WeightSource
) -> ir.Value:
    """An initializer whose bytes the writer will take from `source`; made once a name."""
    if name not in graph.initializers:
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        value.meta[_KEY] = source
        graph.initializers[name] = value
    return graph.initializers[name]
