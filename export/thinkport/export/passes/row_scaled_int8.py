"""The layers' quantized projections → int8 matrix products with a scale a token and a scale a column.

Cases:
    1. a MatMulNBits of a layer becomes rounding by row, MatMulIntegerToFloat, and a factor by row;
    2. one outside the layers (lm_head, which computes one row) stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.passes.contract import MICROSOFT, GraphPass, each_layer
from thinkport.export.trace.constant import fixed, floats, integers
from thinkport.export.trace.names import layer_of
from thinkport.export.trace.source import Source, new_weight, source_of

_CODES = 127  # of the largest activation of a token
_SMALLEST = 1e-20  # of a token's largest activation, so that a row of zeros has a scale


@dataclass(kw_only=True)
class RowScaledInt8(GraphPass):
    """Every projection of the layers.

    Twice as fast as MatMulNBits from 64 tokens on (measured with AVX2: 186 against 90 GMAC/s; with AVX-512 VNNI 500
    against 160). Weights are int8 (K, N) and float32 (N,) columns' scales, which no artifact holds: each machine
    derives them from MatMulNBits' own (`runtime.machine.int8_weights`). DynamicQuantizeMatMul would do it in one node,
    with one scale for all tokens of a step, which one loud token makes coarse for all others.

    Operator: com.microsoft.MatMulIntegerToFloat, A uint8 with the zero point 128 (docs/ContribOperators.md).
    """

    name: ClassVar[str] = "row_scaled_int8"
    projections: int  # a layer

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, self.projections)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        nodes = [
            node for node in model.graph if node.op_type == "MatMulNBits" and layer_of(node.name or "") is not None
        ]
        return [_replace(model.graph, node) for node in nodes]


def _replace(graph: ir.Graph, old: ir.Node) -> str:
    stem = (old.name or "").rsplit(".", 1)[0]
    weight, scales = _weight(graph, old)
    codes, row_scale, nodes = _rounded_rows(graph, old.inputs[0], stem)
    one, zero = floats(graph, "unit_scale", 1.0), fixed(graph, "code_zero", np.array(128, np.uint8))
    product = ir.node(
        "MatMulIntegerToFloat",
        [codes, weight, one, scales, zero],
        domain=MICROSOFT,
        name=f"{stem}.MatMulIntegerToFloat",
    )
    scaled = ir.node("Mul", [product.outputs[0], row_scale], name=f"{stem}.Mul_rows")
    before, after = old.outputs[0], scaled.outputs[0]
    after.type, after.shape = before.type, before.shape
    ir.convenience.replace_nodes_and_values(graph, old, [old], [*nodes, product, scaled], [before], [after])
    return product.name or ""


def _rounded_rows(graph: ir.Graph, x: ir.Value | None, stem: str) -> tuple[ir.Value, ir.Value, list[ir.Node]]:
    """uint8 codes of x (batch, tokens, k), what one is worth (batch, tokens, 1), and the nodes that make them."""
    largest = ir.node("Abs", [x], name=f"{stem}.Abs_x")
    row = ir.node(
        "ReduceMax",
        [largest.outputs[0], integers(graph, "last_axis", [-1])],
        {"keepdims": 1},
        name=f"{stem}.ReduceMax_x",
    )
    above = ir.node("Max", [row.outputs[0], floats(graph, "smallest_row", _SMALLEST)], name=f"{stem}.Max_x")
    scale = ir.node("Mul", [above.outputs[0], floats(graph, "a_code", 1 / _CODES)], name=f"{stem}.Mul_scale")
    steps = ir.node("Div", [floats(graph, "codes_a_row", _CODES), above.outputs[0]], name=f"{stem}.Div_steps")
    scaled = ir.node("Mul", [x, steps.outputs[0]], name=f"{stem}.Mul_x")
    codes = ir.node(
        "QuantizeLinear",
        [scaled.outputs[0], floats(graph, "unit_scale", 1.0), fixed(graph, "code_zero", np.array(128, np.uint8))],
        name=f"{stem}.QuantizeLinear_x",
    )
    return codes.outputs[0], scale.outputs[0], [largest, row, above, scale, steps, scaled, codes]


def _weight(graph: ir.Graph, old: ir.Node) -> tuple[ir.Value, ir.Value]:
    """The int8 weight and its columns' scales that stand for a MatMulNBits' codes and scales."""
    codes = old.inputs[1]
    source = None if codes is None else source_of(codes)
    if codes is None or source is None:
        raise GraphError(f"{old.name} has no codes of a checkpoint's weight: report it with the checkpoint's name")
    rows, columns = (old.attributes[name].as_int() for name in ("N", "K"))
    stem = (codes.name or "").removesuffix(".qweight")
    weight = Source(tensors=source.tensors, part="int8", role=source.role)
    steps = Source(tensors=source.tensors, part="int8_scales", role=source.role)
    return (
        new_weight(graph, f"{stem}.int8", ir.DataType.INT8, (columns, rows), weight),
        new_weight(graph, f"{stem}.int8_scales", ir.DataType.FLOAT, (rows,), steps),
    )
